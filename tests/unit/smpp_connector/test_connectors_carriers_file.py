"""A wrong carriers file is one sentence that names the field, and never shows a secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from shared.errors import SettingError
from smpp_connector.carriers_file import read_carrier

GOOD: dict[str, Any] = {
    "id": "mercure", "host": "127.0.0.1", "port": 2775, "system_id": "relais", "password": "s3cret", "bind": "transceiver", "binds": 1,
    "window": 50, "tps": 1000, "profile": "plain", "tls": False, "prefixes": {"33": "0.045", "": "0.06"},
}  # fmt: skip


def written(path: Path, *entries: dict[str, Any]) -> Path:
    file = path / "carriers.yaml"
    file.write_text(yaml.safe_dump({"carriers": list(entries)}))
    return file


def test_a_good_entry_is_read_and_its_password_never_shown(tmp_path: Path) -> None:
    carrier = read_carrier(written(tmp_path, {**GOOD, "id": "iris"}, GOOD), "mercure")
    assert (carrier.id, carrier.port, carrier.window, carrier.tps) == ("mercure", 2775, 50, 1000)
    assert "s3cret" not in repr(carrier)
    assert carrier.password.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"port": 70_000}, "port input should be less than or equal to 65535"),
        ({"window": 0}, "window input should be greater than or equal to 1"),
        ({"tps": -1}, "tps input should be greater than 0"),
        ({"bind": "outbind"}, "bind input should be 'transceiver' or 'transmitter_receiver'"),
        ({"password": "s3cret-too-long"}, "password has more than the 8 characters that SMPP allows"),
        ({"profile": "nowhere"}, "profile no carrier profile named"),
        ({"color": "blue"}, "color is no field of a carrier"),
        ({"host": None}, "host "),
        ({"from_address": "nowhere"}, "from_address 'nowhere' does not appear to be an IPv4 or IPv6 address"),
        ({"tls_key_file": "key.pem"}, "tls_certificate_file and tls_key_file go together"),
        ({"tls_minimum_version": "1.0"}, "tls_minimum_version input should be '1.2' or '1.3'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_carrier(written(tmp_path, {**GOOD, **change}), "mercure")
    assert f"carrier mercure: {sentence}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="carrier mercure: system_id is missing"):
        read_carrier(written(tmp_path, {k: v for k, v in GOOD.items() if k != "system_id"}), "mercure")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("carriers: [", "is not YAML, line"),
        ("[]", "has no list `carriers`"),
        ("carriers: {}", "has no list `carriers`"),
        ("carriers: []", "has no carrier with the id mercure"),
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "carriers.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=sentence):
        read_carrier(file, "mercure")


def test_a_missing_file_and_an_id_there_twice_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        read_carrier(tmp_path / "none.yaml", "mercure")
    with pytest.raises(SettingError, match="has 2 carriers with the id mercure"):
        read_carrier(written(tmp_path, GOOD, GOOD), "mercure")

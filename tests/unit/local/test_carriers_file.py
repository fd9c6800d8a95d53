"""A carriers file that is wrong is told in one sentence that names the carrier and the field."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from relais_local.carriers_file import Carrier, parse_carriers, read_carriers
from relais_local.errors import LocalStackError
from relais_local.paths import CHECKOUT

DEFAULT = CHECKOUT / "deploy" / "local" / "carriers.yaml"


def external(**fields: Any) -> dict[str, Any]:
    return {"id": "orion", "host": "10.0.0.7", "port": 2775, "system_id": "relais", "password": "secret", **fields}


def only(**fields: Any) -> Carrier:
    return parse_carriers({"carriers": [external(**fields)]}, "carriers.yaml").carriers[0]


def test_default_file_has_two_simulated_carriers() -> None:
    carriers = read_carriers(DEFAULT).carriers
    assert [carrier.id for carrier in carriers] == ["mercure", "iris"]
    assert all(carrier.simulated for carrier in carriers)
    assert all("" in carrier.prefixes for carrier in carriers)


def test_fields_left_out_have_the_documented_defaults() -> None:
    carrier = only()
    assert (carrier.bind, carrier.binds, carrier.window, carrier.tps) == ("transceiver", 1, 50, 1000)
    assert (carrier.profile, carrier.tls, carrier.prefixes) == ("plain", False, {})


def test_prefixes_and_prices_may_be_written_as_numbers() -> None:
    values = yaml.safe_load('{33: 0.045, "44": "0.06", "": 0.1}')
    assert only(prefixes=values).prefixes == {"33": Decimal("0.045"), "44": Decimal("0.06"), "": Decimal("0.1")}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"window": 0}, "carrier orion: window: Input should be greater than or equal to 1"),
        ({"windw": 10}, "carrier orion: windw is no field of a carrier"),
        ({"port": None}, "carrier orion: port is missing"),
        ({"password": None}, "carrier orion: password is missing"),
        ({"password": "longer-than-eight"}, "carrier orion: password: String should have at most 8 characters"),
        ({"system_id": "x" * 16}, "carrier orion: system_id: String should have at most 15 characters"),
        ({"bind": "receiver"}, "carrier orion: bind: Input should be 'transceiver'"),
        ({"prefixes": {"33": "dear"}}, "carrier orion: prefixes.33: Input should be a valid decimal"),
        ({"prefixes": {"+33": "0.1"}}, "carrier orion: prefixes.+33: String should match pattern"),
        ({"prefixes": {"33": "-0.1"}}, "carrier orion: prefixes.33: Input should be greater than or equal to 0"),
        ({"simulator": {"seed": 1}}, "carrier orion: simulator is only for a carrier with simulated: true"),
        ({"simulated": True}, "carrier orion: a simulated carrier runs on this machine"),
        ({"id": "Orion"}, "carrier Orion: id: String should match pattern"),
    ],
)
def test_wrong_field_is_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LocalStackError) as caught:
        only(**fields)
    assert f"The carriers file carriers.yaml: {sentence}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_password_never_stands_in_the_sentence() -> None:
    with pytest.raises(LocalStackError) as caught:
        only(password="verysecretpassword")
    assert "verysecret" not in str(caught.value)


def test_same_id_twice_is_refused() -> None:
    with pytest.raises(LocalStackError, match="id orion is there twice"):
        parse_carriers({"carriers": [external(), external()]}, "carriers.yaml")


@pytest.mark.parametrize("values", [None, [], "carriers", {"carriers": []}, {"carriers": [17]}, {"carriers": None}])
def test_file_of_another_shape_is_refused_with_one_sentence(values: Any) -> None:
    with pytest.raises(LocalStackError) as caught:
        parse_carriers(values, "carriers.yaml")
    assert str(caught.value).startswith("The carriers file carriers.yaml")


def test_missing_file_and_broken_yaml_are_told(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="is not there"):
        read_carriers(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("carriers:\n  - {id: a\n")
    with pytest.raises(LocalStackError, match="is not YAML, line"):
        read_carriers(broken)


def test_completed_file_tells_the_connector_ports_and_passwords_and_nothing_of_the_simulator() -> None:
    completed = read_carriers(DEFAULT).completed({"mercure": 21001, "iris": 21002}, "pass1234")
    shown = yaml.safe_load(completed.connections_yaml())["carriers"]
    assert [(each["port"], each["password"]) for each in shown] == [(21001, "pass1234"), (21002, "pass1234")]
    assert all("simulated" not in each and "simulator" not in each for each in shown)
    assert parse_carriers({"carriers": shown}, "again").carriers[0].prefixes == completed.carriers[0].prefixes

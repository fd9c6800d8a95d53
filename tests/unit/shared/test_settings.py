"""A wrong setting stops the process with one sentence that names it."""

import pytest
from shared.settings import SealingSettings, load

GOOD = {
    "RELAIS_SERVICE_NAME": "x", "RELAIS_HTTP_PORT": "8080", "RELAIS_KAFKA_BOOTSTRAP": "k", "RELAIS_REGISTRY_URL": "r",
    "RELAIS_DATABASE_URL": "postgresql://u:hidden@h/d", "RELAIS_INTERNAL_SECRET": "hidden", "RELAIS_MASTER_KEY": "A" * 43 + "=",
}  # fmt: skip


def test_good_settings_load_and_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    settings = load(SealingSettings)
    assert settings.master == bytes(32)
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("RELAIS_MASTER_KEY", "c2hvcnQ=", "32 bytes in base64"),
        ("RELAIS_HTTP_PORT", "70000", "less than or equal to 65535"),
        ("RELAIS_INTERNAL_SECRET", None, "is missing"),
    ],
)
def test_a_bad_setting_is_named_in_one_sentence(
    name: str, value: str | None, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known, good in GOOD.items():
        monkeypatch.setenv(known, good)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        load(SealingSettings)
    assert end.value.code == 78
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"setting {name} ")
    assert says in line
    assert "hidden" not in line

"""The carriers file: how one carrier is reached. A wrong value is one sentence that names the field."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from shared.carriers.registry import load_profile
from shared.errors import SettingError


class Carrier(BaseModel):
    """One carrier's connection. Lengths are SMPP 3.4's, section 4.1.1, without the end mark."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")]
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    system_id: Annotated[str, Field(min_length=1, max_length=15)]
    password: SecretStr
    bind: Literal["transceiver", "transmitter_receiver"] = "transceiver"
    binds: Annotated[int, Field(ge=1, le=32)] = 1
    """Connections at once that the contract allows; a transmitter and its receiver count as one."""
    window: Annotated[int, Field(ge=1, le=1000)] = 50
    """Unanswered submit_sm on each bind."""
    tps: Annotated[float, Field(gt=0, le=100_000)] = 1000.0
    """Parts a second over all binds."""
    profile: str = "plain"
    tls: bool = False
    tls_ca_file: Path | None = None
    """Authorities that vouch for the carrier; None: the system's."""
    sender: Annotated[str, Field(max_length=20)] = ""
    """The source address of messages whose route names none; empty: the carrier's own default."""
    system_type: Annotated[str, Field(max_length=12)] = ""
    prefixes: dict[str, Any] = Field(default_factory=dict)
    """Prices, which are the router's; only carried in the same file."""

    @field_validator("password")
    @classmethod
    def _fits(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) > 8:
            raise ValueError("has more than the 8 characters that SMPP allows")
        return value

    @field_validator("profile")
    @classmethod
    def _is_known(cls, value: str) -> str:
        load_profile(value)
        return value


def read_carrier(path: Path, carrier_id: str) -> Carrier:
    """The carrier of this id. SettingError with one sentence for anything wrong; it never shows a value."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"the carriers file {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingError(f"the carriers file {path} is not YAML{where}") from None
    entries = document.get("carriers") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise SettingError(f"the carriers file {path} has no list `carriers`")
    found = [entry for entry in entries if isinstance(entry, dict) and entry.get("id") == carrier_id]
    if len(found) != 1:
        count = "no carrier" if not found else f"{len(found)} carriers"
        raise SettingError(f"the carriers file {path} has {count} with the id {carrier_id}")
    try:
        return Carrier.model_validate(found[0])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        trouble = first["msg"].removeprefix("Value error, ")
        trouble = {"missing": "is missing", "extra_forbidden": "is no field of a carrier"}.get(first["type"], trouble)
        raise SettingError(f"the carriers file {path}, carrier {carrier_id}: {field} {_lower(trouble)}") from None


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""The carriers file: how one carrier is reached. A wrong value is one sentence that names the field."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
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
    sender_tps: Annotated[float | None, Field(gt=0, le=100_000)] = None
    """Parts a second of each sender, where the contract limits that too; in each process, so with replicas its share."""
    inactivity_s: Annotated[float, Field(ge=0)] = 0
    """A link over which no message went either way for this long is unbound and bound anew, where carriers end silent
    sessions without a word; 0: never."""
    profile: str = "plain"
    id_rule: Literal["profile", "propose", "learn"] = "profile"
    """How ids of responses and receipts are made equal: as the profile says; learnt, and proposed for a person to apply;
    or learnt and applied as soon as the rule matched 99 % of 1,000 messages."""
    tls: bool = False
    tls_ca_file: Path | None = None
    """Authorities that vouch for the carrier; None: the system's."""
    tls_server_name: str = ""
    """Asked for by SNI and looked for in the carrier's certificate; empty: `host`."""
    tls_minimum_version: Literal["1.2", "1.3"] = "1.2"
    tls_certificate_file: Path | None = None
    """Ours, with its chain, for a carrier that asks for one; PEM."""
    tls_key_file: Path | None = None
    """Of that certificate; PEM."""
    from_address: str = ""
    """Our own IP address that connections come from, where the carrier lets only that one in; empty: any."""
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
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        if not load_profile(value).takes_transceiver and info.data.get("bind") == "transceiver":
            raise ValueError("speaks SMPP 3.3, which has no transceiver: set bind to transmitter_receiver")
        return value

    @field_validator("from_address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value:
            ip_address(value)
        return value

    @model_validator(mode="after")
    def _keys_go_with_certificates(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file go together")
        return self


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
        what = f"{field} {_lower(trouble)}".strip()
        raise SettingError(f"the carriers file {path}, carrier {carrier_id}: {what}") from None


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""The carriers file: which carriers the stack speaks to, and at what price."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from relais_local.errors import LocalStackError

Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]

MOST_WINDOW = 1000  # above this no carrier is known to answer in order; each crash makes binds x window unknown


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Carrier(_Strict):
    """One carrier's connection and prices. The lengths are those of SMPP 3.4, section 4.1.1, without the end mark."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")]
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    system_id: Annotated[str, Field(min_length=1, max_length=15)]
    password: Annotated[str | None, Field(max_length=8, repr=False)] = None
    bind: Literal["transceiver"] = "transceiver"
    binds: Annotated[int, Field(ge=1, le=32)] = 1
    window: Annotated[int, Field(ge=1, le=MOST_WINDOW)] = 50
    tps: Annotated[int, Field(ge=1, le=100_000)] = 1000
    profile: Annotated[str, Field(min_length=1)] = "plain"
    tls: bool = False
    prefixes: dict[Annotated[str, Field(pattern=r"^[0-9]{0,15}$")], Price] = Field(default_factory=dict)
    simulated: bool = False
    simulator: dict[str, Any] = Field(default_factory=dict)

    @field_validator("prefixes", mode="before")
    @classmethod
    def _plain_yaml(cls, value: Any) -> Any:
        """YAML reads 33: 0.045 as numbers; both mean what they look like."""
        if not isinstance(value, Mapping):
            return value
        return {
            "" if prefix is None else str(prefix): str(price) if isinstance(price, int | float) else price
            for prefix, price in value.items()
        }

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.simulated:
            if self.host != "127.0.0.1":
                raise ValueError("a simulated carrier runs on this machine: leave host out or write 127.0.0.1")
            if self.tls:
                raise ValueError("the simulator speaks plain SMPP: a simulated carrier has tls: false")
        elif self.port is None or self.password is None:
            raise ValueError(f"{'port' if self.port is None else 'password'} is missing")
        elif self.simulator:
            raise ValueError("simulator is only for a carrier with simulated: true")
        return self

    def connection(self) -> dict[str, Any]:
        """What its connector reads: the fields of the file without those that concern the local stack alone."""
        shown = self.model_dump(exclude={"simulated", "simulator"})
        shown["prefixes"] = {prefix: str(price) for prefix, price in self.prefixes.items()}
        return shown

    def commerce(self) -> dict[str, Any]:
        """The body of PUT /v1/carriers/{id}."""
        return {
            "tps": self.tps,
            "binds": self.binds,
            "currency": "EUR",
            "prices": {prefix: str(price) for prefix, price in self.prefixes.items()},
            "enabled": True,
        }


class CarriersFile(_Strict):
    carriers: Annotated[tuple[Carrier, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [carrier.id for carrier in self.carriers]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if twice:
            raise ValueError(f"id {twice[0]} is there twice")
        return self

    def completed(self, ports: Mapping[str, int], password: str) -> "CarriersFile":
        """The file with a port (`ports` by carrier id) and the password filled in where the stack chooses them."""
        filled = [
            carrier.model_copy(
                update={
                    "port": carrier.port or ports[carrier.id],
                    "password": carrier.password if carrier.password is not None else password,
                }
            )
            for carrier in self.carriers
        ]
        return CarriersFile(carriers=tuple(filled))

    def connections_yaml(self) -> str:
        return yaml.safe_dump({"carriers": [c.connection() for c in self.carriers]}, sort_keys=False)


def read_carriers(path: Path) -> CarriersFile:
    """The file's carriers. Raises LocalStackError with one sentence that names the file and the first wrong field."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise LocalStackError(
            f"The carriers file {path} is not there: give a file with `make up CARRIERS=path`."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise LocalStackError(f"The carriers file {path} is not YAML{where}: correct it and try again.") from None
    return parse_carriers(values, str(path))


def parse_carriers(values: Any, name: str) -> CarriersFile:
    if not isinstance(values, Mapping):
        raise LocalStackError(f"The carriers file {name} has no list `carriers`: see deploy/local/carriers.yaml.")
    try:
        return CarriersFile.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise LocalStackError(f"The carriers file {name}: {_sentence(first['loc'], first['msg'], values)}.") from None


def _sentence(location: tuple[int | str, ...], message: str, values: Mapping[str, Any]) -> str:
    words = message.removeprefix("Value error, ")
    if words == "Extra inputs are not permitted":
        words = "is no field of a carrier"
    elif words == "Field required":
        words = "is missing"
    carrier, field = "", [str(part) for part in location]
    if len(location) >= 2 and location[0] == "carriers" and isinstance(location[1], int):
        entry = values["carriers"][location[1]]
        id_ = entry.get("id") if isinstance(entry, Mapping) else None
        carrier = f"carrier {id_ if isinstance(id_, str) else location[1] + 1}: "
        field = field[2:]
    shown = ".".join(part for part in field if part != "[key]")
    return f"{carrier}{shown}{': ' if shown and words[:1].isupper() else ' ' if shown else ''}{words}"

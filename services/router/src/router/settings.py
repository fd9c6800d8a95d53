"""What the router must be told."""

import re
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode
from shared.settings import SealingSettings

_CARRIER_ID = re.compile(r"[a-z0-9-]{1,32}")


class Settings(SealingSettings):
    service_name: str = "router"
    carriers: Annotated[
        tuple[str, ...], NoDecode
    ]  # those that have a connector and topics: RELAIS_CARRIERS=mercure,iris
    comeback_s: float = Field(default=20, ge=0)  # a carrier that was down gets its traffic back over so many seconds

    portability_url: str | None = None  # an HTTP service that is asked for the networks of numbers
    portability_key: SecretStr | None = None  # its bearer token
    portability_enum_zone: str | None = None  # a DNS zone with NAPTR records of numbers, such as e164.example
    portability_enum_servers: Annotated[
        tuple[str, ...], NoDecode
    ] = ()  # who is asked; the system's resolvers when empty
    portability_countries: Annotated[
        tuple[str, ...], NoDecode
    ] = ()  # where sources may be asked; everywhere when empty
    portability_kept_h: float = Field(default=168, gt=0)  # how long an answer is believed

    @field_validator("portability_enum_servers", "portability_countries", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("carriers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = tuple(part.strip() for part in value.split(",") if part.strip())
        if not found:
            raise ValueError("names no carrier: list their ids, with commas between")
        for carrier in found:
            if not _CARRIER_ID.fullmatch(carrier):
                raise ValueError(f"{carrier!r} is not a carrier's id: 1 to 32 of a-z, 0-9 and hyphen")
        if len(set(found)) != len(found):
            raise ValueError("names a carrier twice")
        return found

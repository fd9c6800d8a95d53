"""What the router must be told."""

import re
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode
from shared.settings import ServiceSettings

_CARRIER_ID = re.compile(r"[a-z0-9-]{1,32}")


class Settings(ServiceSettings):
    service_name: str = "router"
    carriers: Annotated[
        tuple[str, ...], NoDecode
    ]  # those that have a connector and topics: RELAIS_CARRIERS=mercure,iris
    comeback_s: float = Field(default=20, ge=0)  # a carrier that was down gets its traffic back over so many seconds

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

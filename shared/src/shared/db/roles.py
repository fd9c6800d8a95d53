"""Which schemas and roles there are, and which keys each role may read. `bootstrap.py` makes it so."""

from dataclasses import dataclass

from shared.crypto.sealing import Kind

OWNER = "relais_owner"
DATABASE = "relais"


@dataclass(frozen=True)
class ServiceRole:
    service: str  # as in the folder's name
    opens: tuple[Kind, ...] = ()  # kinds of key it may read and make

    @property
    def schema(self) -> str:
        return self.service.replace("-", "_")

    @property
    def role(self) -> str:
        return f"relais_{self.schema}"

    @property
    def password_variable(self) -> str:
        return f"RELAIS_PASSWORD_{self.schema.upper()}"


SERVICES: tuple[ServiceRole, ...] = (
    ServiceRole("ingest", opens=(Kind.NUMBER, Kind.TEXT)),
    ServiceRole("segmenter", opens=(Kind.NUMBER, Kind.TEXT)),
    ServiceRole("router", opens=(Kind.NUMBER,)),
    ServiceRole("smpp-connector", opens=(Kind.NUMBER, Kind.TEXT)),
    ServiceRole("dlr-processor", opens=(Kind.NUMBER,)),
    ServiceRole("analytics"),
)

"""The stack's secrets: made once from the system's randomness, kept in a file that only its owner may read."""

import base64
import re
import secrets
import string
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from relais_local.errors import LocalStackError
from relais_local.paths import write_private

SERVICES = ("ingest", "segmenter", "router", "smpp-connector", "dlr-processor", "analytics")


@dataclass(frozen=True, repr=False)
class Secrets:
    master_key: str
    internal_secret: str
    api_key: str
    """May do everything in the tenant `demo`."""
    other_key: str
    """The same in the tenant `other`, which must never see anything of `demo`."""
    smsc_password: str
    database_superuser: str
    database_registry: str
    database_owner: str
    database_ingest: str
    database_segmenter: str
    database_router: str
    database_smpp_connector: str
    database_dlr_processor: str
    database_analytics: str

    def database(self, service: str) -> str:
        value: str = getattr(self, f"database_{service.replace('-', '_')}")
        return value


def make_secrets() -> Secrets:
    values = {field.name: secrets.token_urlsafe(24) for field in fields(Secrets)}
    alphabet = string.ascii_letters + string.digits
    return Secrets(
        **{
            **values,
            "master_key": base64.b64encode(secrets.token_bytes(32)).decode(),
            "api_key": make_api_key(),
            "other_key": make_api_key(),
            # eight characters are all that a bind's password can hold (SMPP 3.4, section 4.1.1)
            "smsc_password": "".join(secrets.choice(alphabet) for _ in range(8)),
        }
    )


def make_api_key() -> str:
    """`rk_`, an id of eight characters, `_`, 256 bits in base64url."""
    alphabet = string.ascii_lowercase + string.digits
    return f"rk_{''.join(secrets.choice(alphabet) for _ in range(8))}_{secrets.token_urlsafe(32)}"


def load_or_make_secrets(path: Path) -> Secrets:
    """The secrets in `path`; at the first start they are made and written there."""
    if path.exists():
        return parse_secrets(path.read_text(), path)
    made = make_secrets()
    lines = (f"{name.upper()}={value}\n" for name, value in asdict(made).items())
    write_private(
        path, "# Made at the stack's first start. Whoever reads this can read all its data.\n" + "".join(lines)
    )
    return made


def parse_secrets(text: str, path: Path) -> Secrets:
    found = dict(re.findall(r"^([A-Z_]+)=(\S+)$", text, re.MULTILINE))
    values = {field.name: found.get(field.name.upper(), "") for field in fields(Secrets)}
    missing = sorted(name.upper() for name, value in values.items() if not value)
    if missing:
        raise LocalStackError(
            f"The stack's secrets in {path} lack {missing[0]}: bring the file back, or run `make clean` to begin anew."
        )
    return Secrets(**values)

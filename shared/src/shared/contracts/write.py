"""Writes what is generated from the declarations and committed: schemas, golden examples, AsyncAPI, the README's picture."""

from pathlib import Path

import msgspec
import yaml

from shared.contracts.asyncapi import as_yaml
from shared.contracts.avro import codec_of
from shared.contracts.golden import golden_file
from shared.contracts.odcs import contracts
from shared.contracts.picture import with_picture
from shared.contracts.topics import TOPICS

SCHEMAS = Path(__file__).parent / "schemas"
CHECKOUT = Path(__file__).parents[4]
CONTRACTS = CHECKOUT / "deploy" / "warehouse" / "contracts"


def contract_files() -> dict[str, str]:
    """Analysts' data contracts as committed, by table."""
    return {
        table: yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120)
        for table, contract in contracts().items()
    }


def event_types() -> list[type[msgspec.Struct]]:
    return sorted({t.event for t in TOPICS}, key=lambda e: e.__name__)


def schema_file(event: type[msgspec.Struct]) -> str:
    """The newest schema of an event, as committed."""
    return msgspec.json.format(codec_of(event).schema_json, indent=2) + "\n"


def versions(event: type[msgspec.Struct]) -> list[Path]:
    """Committed schemas of an event, oldest first."""
    return sorted((SCHEMAS / event.__name__).glob("v*.avsc"), key=lambda p: int(p.stem[1:]))


def main() -> None:
    """A changed schema becomes a new version beside the old ones, which stay as proof of compatibility."""
    for event in event_types():
        folder = SCHEMAS / event.__name__
        folder.mkdir(parents=True, exist_ok=True)
        known = versions(event)
        if not known or known[-1].read_text() != schema_file(event):
            known.append(folder / f"v{len(known) + 1}.avsc")
            known[-1].write_text(schema_file(event))
        golden = known[-1].with_suffix(".golden.json")
        if not golden.exists():
            golden.write_bytes(golden_file(event))
    (CHECKOUT / "docs" / "asyncapi.yaml").write_text(as_yaml())
    CONTRACTS.mkdir(parents=True, exist_ok=True)
    for table, text in contract_files().items():
        (CONTRACTS / f"{table}.yaml").write_text(text)
    readme = CHECKOUT / "README.md"
    readme.write_text(with_picture(readme.read_text()))

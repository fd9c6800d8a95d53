"""Writes what is generated from the declarations and committed: schemas, golden examples, AsyncAPI, the README's picture."""

from pathlib import Path

import msgspec

from shared.contracts.avro import codec_of
from shared.contracts.topics import TOPICS

SCHEMAS = Path(__file__).parent / "schemas"


def schema_files() -> dict[str, str]:
    """File name to content of the newest schema of each event."""
    found = {}
    for event in sorted({t.event for t in TOPICS}, key=lambda e: e.__name__):
        found[f"{event.__name__}.avsc"] = msgspec.json.format(codec_of(event).schema_json, indent=2) + "\n"
    return found


def main() -> None:
    """Adds a new version beside the old ones when a schema changed: old versions stay, as proof of compatibility."""
    for name, content in schema_files().items():
        stem = name.removesuffix(".avsc")
        folder = SCHEMAS / stem
        folder.mkdir(parents=True, exist_ok=True)
        versions = sorted(folder.glob("v*.avsc"), key=lambda p: int(p.stem[1:]))
        if versions and versions[-1].read_text() == content:
            continue
        (folder / f"v{len(versions) + 1}.avsc").write_text(content)

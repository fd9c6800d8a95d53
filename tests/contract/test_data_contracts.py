"""The analysts' data contracts are committed as the declarations say, and name every field with its type and class."""

import pytest
import yaml
from shared.contracts.odcs import contracts, table_of
from shared.contracts.topics import TOPICS
from shared.contracts.write import CONTRACTS, contract_files

FILES = contract_files()
# The Open Data Contract Standard, version 3: what a contract and its properties must have, and the logical types.
REQUIRED = {"apiVersion", "kind", "id", "version", "status", "schema"}
LOGICAL = {"string", "date", "number", "integer", "object", "array", "boolean"}


@pytest.mark.parametrize("table", FILES)
def test_a_contract_is_committed_as_generated(table: str) -> None:
    assert (CONTRACTS / f"{table}.yaml").read_text() == FILES[table], "run `make contracts`"


def test_every_topic_has_a_contract_and_nothing_else_has() -> None:
    assert {path.stem for path in CONTRACTS.glob("*.yaml")} == set(FILES)
    assert {table_of(topic.base) for topic in TOPICS if not topic.changelog} == set(FILES)


@pytest.mark.parametrize("table", FILES)
def test_a_contract_has_what_the_standard_asks_for(table: str) -> None:
    contract = yaml.safe_load(FILES[table])
    assert contract.keys() >= REQUIRED
    [schema] = contract["schema"]
    assert {p["logicalType"] for p in schema["properties"]} <= LOGICAL
    assert [p["name"] for p in schema["properties"] if p.get("primaryKey")] == ["event_id", "tenant_id"]


def test_personal_fields_are_classified_and_units_told() -> None:
    [prepared] = contracts()["sms_message_prepared"]["schema"]
    by_name = {p["name"]: p for p in prepared["properties"]}
    assert by_name["number"]["classification"] == "sealed-number"
    assert by_name["text"]["classification"] == "sealed-text"
    assert by_name["contact_id"]["classification"] == "pseudonym"
    assert (
        "milliseconds" in by_name["accepted_at"]["description"] or by_name["accepted_at"]["physicalType"] == "timestamp"
    )

"""What is committed is what the declarations say, old records stay readable, and nobody uses what is not declared."""

import ast
import io
import itertools
from pathlib import Path

import aiohttp
import fastavro
import msgspec
import pytest
from shared.contracts import topics
from shared.contracts.apply import subjects, wanted
from shared.contracts.asyncapi import as_yaml
from shared.contracts.avro import NotAvroError, codec_of, parse_writer, schema_of
from shared.contracts.golden import example
from shared.contracts.picture import with_picture
from shared.contracts.topics import TOPICS, Topic
from shared.contracts.write import event_types, schema_file, versions
from support.parts import Parts

CHECKOUT = Path(__file__).parents[2]
SERVICES = ("ingest", "segmenter", "router", "smpp-connector", "dlr-processor", "analytics")
EVENTS = event_types()
VERSIONS = [
    pytest.param(event, path, id=f"{event.__name__}-{path.stem}") for event in EVENTS for path in versions(event)
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.__name__)
def test_the_newest_committed_schema_is_the_one_generated(event: type[msgspec.Struct]) -> None:
    assert versions(event)[-1].read_text() == schema_file(event), "run `make contracts`"


def test_asyncapi_and_the_readme_are_up_to_date() -> None:
    assert (CHECKOUT / "docs" / "asyncapi.yaml").read_text() == as_yaml(), "run `make contracts`"
    readme = (CHECKOUT / "README.md").read_text()
    assert readme == with_picture(readme), "run `make contracts`"


@pytest.mark.parametrize(("event", "path"), VERSIONS)
def test_golden_records_of_every_committed_version_are_still_read(event: type[msgspec.Struct], path: Path) -> None:
    golden = msgspec.json.decode(path.with_suffix(".golden.json").read_bytes())
    body = msgspec.convert(golden["body"], bytes)
    writer = parse_writer(path.read_text())
    decoded = msgspec.json.decode(msgspec.json.encode(codec_of(event).decode(body, lambda _: writer)))
    assert {k: decoded[k] for k in golden["value"]} == golden["value"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.__name__)
def test_an_event_survives_the_road_and_foreign_bytes_are_refused(event: type[msgspec.Struct]) -> None:
    codec = codec_of(event)
    value = example(event)
    body = codec.encode(value, 5)
    writer = parse_writer(codec.schema_json)
    assert codec.decode(body, lambda _: writer) == value
    for broken in (b"", b"\x01" + body[1:], body[: len(body) // 2]):
        with pytest.raises(NotAvroError):
            codec.decode(broken, lambda _: writer)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.__name__)
def test_any_avro_reader_understands_our_bytes_with_logical_types(event: type[msgspec.Struct]) -> None:
    body = codec_of(event).encode(example(event), 5)
    read = fastavro.schemaless_reader(
        io.BytesIO(body[5:]), fastavro.parse_schema(schema_of(event), named_schemas={}), None
    )
    assert read["occurred_at"].year == 1970
    for name in ("price", "cost"):
        if name in read:
            assert str(read[name]) == "0.000007"


def test_decimals_stand_at_the_top_of_an_event_where_the_codec_converts_them() -> None:
    for event in EVENTS:
        for field in schema_of(event)["fields"]:
            for kind in field["type"] if isinstance(field["type"], list) else [field["type"]]:
                if isinstance(kind, dict) and kind["type"] in ("array", "map", "record"):
                    assert '"decimal"' not in msgspec.json.encode(kind).decode(), f"{event.__name__}.{field['name']}"


def test_personal_fields_are_sealed_and_their_topics_short_lived() -> None:
    for topic in TOPICS:
        sealed = [f["name"] for f in schema_of(topic.event)["fields"] if f.get("pii", "").startswith("sealed")]
        if sealed:
            assert topic.pii is topics.Pii.SEALED, topic.name
        if topic.pii is topics.Pii.SEALED and topic.base not in ("crm.event.tracked", "sms.receipt.received"):
            assert topic.retention_ms is not None
            assert topic.retention_ms <= 72 * topics.HOUR_MS, topic.name


def test_topic_names_follow_the_rule_and_are_found_by_name() -> None:
    for topic in TOPICS:
        name = topic.named("mercure") if topic.carrier else topic.name
        assert topics.topic_of(name) == topic
    with pytest.raises(KeyError):
        topics.topic_of("sms.submit.mercure.v1")
    with pytest.raises(KeyError):
        topics.topic_of("sms.message.invented.v1")


NAMES: dict[str, tuple[Topic, ...]] = {
    **{
        name: value
        for name, value in vars(topics).items()
        if isinstance(value, tuple) and value and isinstance(value[0], Topic)
    },
    **{name: (value,) for name, value in vars(topics).items() if isinstance(value, Topic)},
    **{lane.lower(): vars(topics)[lane] for lane in ("ACCEPTED", "PREPARED", "SUBMIT", "RETURNED")},
}


def used_topics(service: str) -> set[Topic]:
    """The declared topics that a service's code names, imported from the one module that declares them."""
    found: set[Topic] = set()
    for path in (CHECKOUT / "services" / service / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "shared.contracts.topics":
                found |= set(
                    itertools.chain.from_iterable(
                        NAMES.get(alias.name, ()) for alias in node.names if alias.name != "TOPICS"
                    )
                )
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "topics":
                found |= set(NAMES.get(node.attr, ()))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_uses_exactly_the_topics_that_it_declares(service: str) -> None:
    declared = {t.name for t in TOPICS if service in (*t.producers, *t.consumers)}
    assert {t.name for t in used_topics(service)} == declared


@pytest.mark.parametrize("service", SERVICES)
def test_no_topic_name_is_typed_in_a_service(service: str) -> None:
    bases = {t.base for t in TOPICS}
    for path in (CHECKOUT / "services" / service / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                typed = [b for b in bases if node.value == b or node.value.startswith(f"{b}.")]
                assert not typed, f"{path.name} types the topic {typed}"


async def test_the_registry_holds_every_schema_and_refuses_an_incompatible_one(parts: Parts) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{parts.registry_url}/subjects") as answer:
            assert set(subjects(("mercure", "iris"))) <= set(await answer.json())
        bad = msgspec.json.decode(codec_of(topics.STATUS.event).schema_json)
        bad["fields"] = [f for f in bad["fields"] if f["name"] != "message_id"] + [{"name": "must", "type": "string"}]
        body = {"schema": msgspec.json.encode(bad).decode()}
        async with session.post(
            f"{parts.registry_url}/subjects/{topics.STATUS.name}-value/versions", json=body
        ) as answer:
            assert answer.status == 409


async def test_every_declared_topic_is_there_with_its_partitions(parts: Parts) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=parts.bootstrap)
    await admin.start()
    try:
        there = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics(await admin.list_topics())}
    finally:
        await admin.close()
    for name, (partitions, _) in wanted(("mercure", "iris"), production=False).items():
        assert there[name] == partitions

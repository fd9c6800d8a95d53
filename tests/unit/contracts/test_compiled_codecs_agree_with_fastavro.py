"""Every event class: what we write fastavro reads, what fastavro writes we read, and damage never passes for an event."""

import io
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared.contracts.avro import NotAvroError, all_event_types, codec_of

LONG = st.integers(-(2**63), 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def values(kind: Any, decimal: bool = False) -> st.SearchStrategy[Any]:
    if isinstance(kind, list):
        return st.none() | values(kind[1], decimal)
    if isinstance(kind, dict):
        match kind["type"]:
            case "array":
                return st.lists(values(kind["items"]), max_size=4)
            case "map":
                return st.dictionaries(TEXT, values(kind["values"]), max_size=3)
            case "record":
                return st.fixed_dictionaries({f["name"]: values(f["type"]) for f in kind["fields"]})
            case inner:
                return values(inner)
    if kind == "bytes":
        return LONG if decimal else st.binary(max_size=300)
    found: dict[str, st.SearchStrategy[Any]] = {
        "string": TEXT | TEXT.map(lambda t: t * 70),
        "long": LONG | st.integers(1_600_000_000_000, 1_900_000_000_000),
        "int": INT,
        "boolean": st.booleans(),
        "double": st.floats(allow_nan=False),
    }
    return found[kind]


def fields(codec: Any) -> st.SearchStrategy[dict[str, Any]]:
    decimals = {name for name, _ in codec._decimals}
    return st.fixed_dictionaries({f["name"]: values(f["type"], f["name"] in decimals) for f in codec._schema["fields"]})


@pytest.mark.parametrize("event", all_event_types(), ids=lambda event: event.__name__)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_both_ways_through_fastavro(event: Any, data: st.DataObject) -> None:
    codec = codec_of(event)
    given = data.draw(fields(codec))
    known = msgspec.convert(given, event, builtin_types=(bytes,))
    plain = msgspec.to_builtins(known, builtin_types=(bytes,))
    for name, _ in codec._decimals:
        if (value := plain[name]) is not None:
            plain[name] = value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, codec._schema, plain)
    body = codec.encode(known, 9)
    assert body == b"\0\0\0\0\x09" + out.getvalue()
    assert codec.decode(body, lambda _: codec._schema) == known


@pytest.mark.parametrize("event", all_event_types(), ids=lambda event: event.__name__)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes_are_refused_or_are_an_event(event: Any, data: st.DataObject) -> None:
    codec = codec_of(event)
    body = codec.encode(msgspec.convert(data.draw(fields(codec)), event, builtin_types=(bytes,)), 9)
    short = body[: data.draw(st.integers(5, max(5, len(body) - 1)))]
    with pytest.raises(NotAvroError):
        codec.decode(short, lambda _: codec._schema)
    spoilt = bytearray(body)
    spoilt[data.draw(st.integers(5, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        codec.encode(codec.decode(bytes(spoilt), lambda _: codec._schema), 9)
    except (NotAvroError, OverflowError):
        pass


def test_an_integer_beyond_64_bits_is_refused() -> None:
    event = next(e for e in all_event_types() if e.__name__ == "MessageDeferred")
    value = event(event_id="e", tenant_id="t", occurred_at=2**63, message_id="m", reason="r")
    with pytest.raises(OverflowError):
        codec_of(event).encode(value, 1)

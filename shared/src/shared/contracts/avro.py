"""Avro schemas generated from the event classes, and the codec of the Confluent wire format.

In process a timestamp is an integer of milliseconds and an amount an integer of millionths, so the schema that encodes
and decodes has its logical types taken out: the bytes are the same and no datetime or Decimal is ever built.
"""

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import fastavro
import msgspec

from shared.contracts.compiled import compile_codec, decimal_bytes
from shared.contracts.events import Event

E = TypeVar("E", bound=msgspec.Struct)
NAMESPACE = "relais"
MAGIC = b"\x00"
_HEADER = struct.Struct(">bI")
_PRIMITIVES: dict[type[Any], str] = {
    msgspec.inspect.StrType: "string",
    msgspec.inspect.IntType: "long",
    msgspec.inspect.FloatType: "double",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.BytesType: "bytes",
    msgspec.inspect.LiteralType: "string",
}


class NotAvroError(ValueError):
    """The bytes are not this event in the Confluent wire format."""


def schema_of(event: type[msgspec.Struct]) -> dict[str, Any]:
    """The Avro schema of an event class, with logical types, documentation and PII classes."""
    return _record(event, set())


def _record(cls: type[msgspec.Struct], seen: set[str]) -> dict[str, Any]:
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    seen.add(cls.__name__)
    fields = []
    for item in info.fields:
        avro, doc, pii = _type(item.type, seen)
        entry: dict[str, Any] = {"name": item.encode_name, "type": avro}
        if doc:
            entry["doc"] = doc
        if pii:
            entry["pii"] = pii
        if not item.required:
            default = item.default if item.default is not msgspec.NODEFAULT else item.default_factory()
            entry["default"] = _default(avro, default)
        fields.append(entry)
    record: dict[str, Any] = {"type": "record", "name": cls.__name__, "namespace": NAMESPACE, "fields": fields}
    own = cls.__dict__.get("__doc__")
    if own:
        record["doc"] = " ".join(own.split())
    return record


def _default(avro: Any, value: Any) -> Any:
    if isinstance(avro, dict) and avro.get("type") == "bytes":
        return decimal_bytes(value).decode("latin-1") if isinstance(value, int) else value.decode("latin-1")
    return value


def _type(node: Any, seen: set[str]) -> tuple[Any, str, str]:
    doc = pii = ""
    logical = None
    while isinstance(node, msgspec.inspect.Metadata):
        doc = doc or (node.extra_json_schema or {}).get("description", "")
        extra = node.extra or {}
        pii = pii or extra.get("pii", "")
        logical = logical or extra.get("avro")
        node = node.type
    if logical is not None:
        return (logical["type"] if len(logical) == 1 else dict(logical)), doc, pii
    if isinstance(node, msgspec.inspect.UnionType):
        [inner] = [t for t in node.types if not isinstance(t, msgspec.inspect.NoneType)]
        avro, inner_doc, inner_pii = _type(inner, seen)
        return ["null", avro], doc or inner_doc, pii or inner_pii
    if isinstance(node, msgspec.inspect.ListType):
        avro, inner_doc, inner_pii = _type(node.item_type, seen)
        return {"type": "array", "items": avro}, doc or inner_doc, pii or inner_pii
    if isinstance(node, msgspec.inspect.DictType):
        avro, inner_doc, inner_pii = _type(node.value_type, seen)
        return {"type": "map", "values": avro}, doc or inner_doc, pii or inner_pii
    if isinstance(node, msgspec.inspect.StructType):
        name = node.cls.__name__
        return (f"{NAMESPACE}.{name}" if name in seen else _record(node.cls, seen)), doc, pii
    return _PRIMITIVES[type(node)], doc, pii


def _without_logical(schema: Any) -> Any:
    if isinstance(schema, dict):
        if "logicalType" in schema:
            return schema["type"]
        return {k: _without_logical(v) for k, v in schema.items() if k not in ("doc", "pii")}
    if isinstance(schema, list):
        return [_without_logical(item) for item in schema]
    return schema


def _decimal_fields(schema: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    """Top-level decimals as (name, has default): nested ones are not declared anywhere, and a test says so."""
    found = []
    for item in schema["fields"]:
        kinds = item["type"] if isinstance(item["type"], list) else [item["type"]]
        if any(isinstance(k, dict) and k.get("logicalType") == "decimal" for k in kinds):
            found.append((item["name"], "default" in item))
    return tuple(found)


@lru_cache(maxsize=256)
def _parsed(canonical: str) -> Any:
    # Every schema names its records alike, so each is parsed against names of its own.
    return fastavro.parse_schema(_without_logical(msgspec.json.decode(canonical)), named_schemas={})


class EventCodec:
    """Encodes and decodes one event class. Thread-free and stateless after construction but for schemas seen."""

    def __init__(self, event: type[E]) -> None:
        self.event = event
        schema = schema_of(event)
        self.schema_json = msgspec.json.encode(schema).decode()
        self._schema = _parsed(self.schema_json)
        self._decimals = _decimal_fields(schema)
        self._write, self._read = compile_codec(event, self._schema, frozenset(name for name, _ in self._decimals))
        self._simple = not any(_holds_structs(item.type) for item in _fields(event))

    def encode(self, event: msgspec.Struct, schema_id: int) -> bytes:
        """Confluent wire format: zero byte, schema id as four bytes big-endian, Avro body."""
        return self._write(event, _HEADER.pack(0, schema_id))

    def decode(self, body: bytes, writer_of: Callable[[int], Any]) -> Any:
        """The event in `body`. `writer_of` gives the parsed writer schema of an id (see `SchemaIds`).

        NotAvroError for anything that is not a well-formed record of this class.
        """
        if len(body) < 5 or body[0] != 0:
            raise NotAvroError("not in the Confluent wire format")
        writer = writer_of(int.from_bytes(body[1:5], "big"))
        try:
            if writer is self._schema:
                return self._read(body, 5)
            stream = io.BytesIO(body)
            stream.seek(5)
            values: Any = fastavro.schemaless_reader(stream, writer, self._schema)
            for name, _ in self._decimals:
                raw = values[name]
                if raw is not None:
                    values[name] = int.from_bytes(raw, "big", signed=True)
            if self._simple:
                return self.event(**values)
            return msgspec.convert(values, self.event, builtin_types=(bytes,))
        except Exception as error:
            # Reading raises whatever the bytes provoke: EOFError, IndexError, UnicodeDecodeError, ValueError...
            raise NotAvroError(f"not a {self.event.__name__}: {type(error).__name__}") from error


def parse_writer(schema_json: str) -> Any:
    """A schema from the registry as the decoder wants it; the same object for the same schema."""
    return _parsed(msgspec.json.encode(msgspec.json.decode(schema_json)).decode())


def _fields(event: type[msgspec.Struct]) -> tuple[Any, ...]:
    info = msgspec.inspect.type_info(event)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def _holds_structs(node: Any) -> bool:
    match node:
        case msgspec.inspect.Metadata():
            return _holds_structs(node.type)
        case msgspec.inspect.UnionType():
            return any(_holds_structs(t) for t in node.types)
        case msgspec.inspect.ListType():
            return _holds_structs(node.item_type)
        case msgspec.inspect.DictType():
            return _holds_structs(node.value_type)
        case msgspec.inspect.StructType():
            return True
    return False


_CODECS: dict[type[msgspec.Struct], EventCodec] = {}


def codec_of(event: type[msgspec.Struct]) -> EventCodec:
    """The codec of an event class; built once."""
    found = _CODECS.get(event)
    if found is None:
        found = _CODECS[event] = EventCodec(event)
    return found


def all_event_types() -> list[type[Event]]:
    """Every event class that some topic carries, by name."""
    from shared.contracts.topics import TOPICS

    return sorted({topic.event for topic in TOPICS}, key=lambda event: event.__name__)

"""Golden examples: one record of each event for every version of its schema ever committed, value and bytes.

They stay as they are. A build that cannot read one of them would not read what lies on a topic.
"""

from typing import Any

import msgspec

from shared.contracts.avro import _fields, codec_of

SCHEMA_ID = 1  # in the wire format's header; any would do


def example(event: type[msgspec.Struct]) -> msgspec.Struct:
    """A value that fills every field, made from the types alone."""
    return event(**{item.encode_name: _sample(item.encode_name, item.type) for item in _fields(event)})


def _sample(name: str, node: Any) -> Any:
    match node:
        case msgspec.inspect.Metadata():
            return _sample(name, node.type)
        case msgspec.inspect.UnionType():
            return _sample(name, next(t for t in node.types if not isinstance(t, msgspec.inspect.NoneType)))
        case msgspec.inspect.ListType():
            return [_sample(name, node.item_type)]
        case msgspec.inspect.DictType():
            return {"marketing": _sample(name, node.value_type)}
        case msgspec.inspect.StructType():
            return example(node.cls)
        case msgspec.inspect.IntType():
            return 7
        case msgspec.inspect.FloatType():
            return 0.5
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.BytesType():
            return b"\x01sealed"
        case _:
            return f"a {name}"


def golden_file(event: type[msgspec.Struct]) -> bytes:
    """The file of the newest version."""
    value = example(event)
    body = codec_of(event).encode(value, SCHEMA_ID)
    return msgspec.json.format(msgspec.json.encode({"value": value, "body": body}), indent=2) + b"\n"

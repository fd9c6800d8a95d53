"""Avro bodies of one event class, written and read by functions made for that class.

fastavro walks the schema anew for every record and tries each branch of every union; a function that has the schema
in its statements takes a third of the time. Their bytes are equal, and a property test holds them to that. Only the
class's own schema is compiled: a record written with another one goes through fastavro, which resolves the two.

The format: Avro 1.11, "Binary encoding". Lengths, integers and branches of a union are zigzag varints.
"""

import struct
from collections.abc import Callable
from typing import Any

import msgspec

Write = Callable[[Any, bytes], bytes]
"""An event and what goes before it, to bytes."""
Read = Callable[[bytes, int], Any]
"""Bytes and where the body begins, to an event. Any exception means that the bytes are not one."""

_DOUBLE = struct.Struct("<d")
_TABLE = 8192  # lengths below this, which is nearly all, are looked up


def varint(value: int) -> bytes:
    """A long as Avro writes it. OverflowError beyond 64 bits."""
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError("an integer that takes more than 64 bits")
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_LENGTHS = [varint(n) for n in range(_TABLE)]
_PRESENT = [b"\x02" + length for length in _LENGTHS]  # the second branch of a union with null


def _sized(value: bytes) -> bytes:
    n = len(value)
    return (_LENGTHS[n] if n < _TABLE else varint(n)) + value


def _present(value: bytes) -> bytes:
    n = len(value)
    return (_PRESENT[n] if n < _TABLE else b"\x02" + varint(n)) + value


def _long(value: int) -> bytes:
    if 0 <= value < _TABLE:
        return _LENGTHS[value]
    rest = value << 1
    if 1 << 35 <= rest < 1 << 42:  # milliseconds of our time
        return bytes(
            (rest & 127 | 128, rest >> 7 & 127 | 128, rest >> 14 & 127 | 128, rest >> 21 & 127 | 128,
             rest >> 28 & 127 | 128, rest >> 35)
        )  # fmt: skip
    return varint(value)


def decimal_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True)


def _long_at(body: bytes, at: int) -> tuple[int, int]:
    """A long, and where it ends."""
    rest = shift = 0
    while True:
        byte = body[at]
        at += 1
        rest |= (byte & 127) << shift
        if byte < 128:
            return (rest >> 1) ^ -(rest & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("an integer that takes more than 64 bits")


def _length_at(body: bytes, at: int) -> tuple[int, int]:
    n, at = _long_at(body, at)
    if not 0 <= n <= len(body) - at:
        raise ValueError("a length that reaches past the end")
    return n, at


# Seven bits of each of the six octets in `n`, little end first, less the sign bit, which is clear: a value above zero.
_SIX = "n >> 1 & 0x3F | n >> 2 & 0x1FC0 | n >> 3 & 0xFE000 | n >> 4 & 0x7F00000 | n >> 5 & 0x3F8000000 | n >> 6 & 0x1FC00000000"
_HELPERS = {
    "_sized": _sized, "_present": _present, "_long": _long, "decimal_bytes": decimal_bytes, "_long_at": _long_at,
    "_length_at": _length_at, "_from": int.from_bytes,
}  # fmt: skip


class _Source:
    """Statements of a function, and names for its values."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = dict(_HELPERS)
        self._count = 0

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def new(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def build(self, head: str) -> Any:
        # The statements are made of our own declarations alone, once for each class.
        exec(compile("\n".join([head, *self.lines]), "<avro>", "exec"), self.names)  # noqa: S102
        return self.names["made"]


def compile_codec(event: type[msgspec.Struct], schema: dict[str, Any], decimals: frozenset[str]) -> tuple[Write, Read]:
    """`schema` without logical types; `decimals` are top-level fields that are integers in process."""
    kinds = _structs(event)
    write = _Source()
    write.add(1, "out = [before]", "put = out.append")
    for field in schema["fields"]:
        _write(write, 1, f"e.{field['name']}", field["type"], field["name"] in decimals)
    write.add(1, "return b''.join(out)")
    read = _Source()
    value = _read_record(read, 1, event, schema, decimals, kinds)
    read.add(1, "if at > len(b): raise EOFError", f"return {value}")
    return write.build("def made(e, before):"), read.build("def made(b, at):")


def _structs(event: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    """Every struct class within the event, by name."""
    found: dict[str, type[msgspec.Struct]] = {}

    def walk(node: Any) -> None:
        if isinstance(node, msgspec.inspect.StructType) and node.cls.__name__ not in found:
            found[node.cls.__name__] = node.cls
            for item in node.fields:
                walk(item.type)
        for name in ("type", "item_type", "value_type"):
            inner = getattr(node, name, None)
            if inner is not None:
                walk(inner)
        for inner in getattr(node, "types", ()):
            walk(inner)

    walk(msgspec.inspect.type_info(event))
    return found


def _write(source: _Source, depth: int, value: str, kind: Any, decimal: bool) -> None:
    add = source.add
    if isinstance(kind, list):
        null, inner = kind
        if null != "null":
            raise TypeError("only unions with null are declared")
        name = source.new()
        add(depth, f"{name} = {value}", f"if {name} is None: put(b'\\0')", "else:")
        if inner == "string":
            add(depth + 1, f"put(_present({name}.encode()))")
        else:
            add(depth + 1, "put(b'\\2')")
            _write(source, depth + 1, name, inner, decimal)
        return
    kind = kind if not isinstance(kind, dict) or kind["type"] in ("array", "map", "record") else kind["type"]
    if kind == "string":
        add(depth, f"put(_sized({value}.encode()))")
    elif kind == "bytes":
        add(depth, f"put(_sized(decimal_bytes({value})))" if decimal else f"put(_sized({value}))")
    elif kind in ("int", "long"):
        add(depth, f"put(_long({value}))")
    elif kind == "boolean":
        add(depth, f"put(b'\\1' if {value} else b'\\0')")
    elif kind == "double":
        source.names["_double"] = _DOUBLE.pack
        add(depth, f"put(_double({value}))")
    elif kind["type"] == "array":
        item = source.new()
        add(depth, f"if {value}:", f"    put(_long(len({value})))", f"    for {item} in {value}:")
        _write(source, depth + 2, item, kind["items"], False)
        add(depth, "put(b'\\0')")
    elif kind["type"] == "map":
        key, item = source.new(), source.new()
        add(depth, f"if {value}:", f"    put(_long(len({value})))", f"    for {key}, {item} in {value}.items():")
        add(depth + 2, f"put(_sized({key}.encode()))")
        _write(source, depth + 2, item, kind["values"], False)
        add(depth, "put(b'\\0')")
    else:
        for field in kind["fields"]:
            _write(source, depth, f"{value}.{field['name']}", field["type"], False)


def _read_record(
    source: _Source, depth: int, event: type[Any], schema: Any, decimals: frozenset[str], kinds: dict[str, type[Any]]
) -> str:
    source.names[event.__name__] = event
    given = [
        f"{field['name']}={_read(source, depth, field['type'], field['name'] in decimals, kinds)}"
        for field in schema["fields"]
    ]
    return f"{event.__name__}({', '.join(given)})"


def _read(source: _Source, depth: int, kind: Any, decimal: bool, kinds: dict[str, type[Any]]) -> str:
    """Adds what reads a value; gives the expression of the value."""
    add = source.add
    name = source.new()
    if isinstance(kind, list):
        add(depth, "n = b[at]; at += 1", f"if n == 0: {name} = None", "elif n == 2:")
        value = _read(source, depth + 1, kind[1], decimal, kinds)
        add(depth + 1, f"{name} = {value}")
        add(depth, "else: raise ValueError('a branch that the union has not')")
        return name
    kind = kind if not isinstance(kind, dict) or kind["type"] in ("array", "map", "record") else kind["type"]
    if kind in ("string", "bytes"):
        add(depth, "n = b[at]", "if n < 128 and not n & 1: n >>= 1; at += 1", "else: n, at = _length_at(b, at)")
        cut = "b[at:at + n]"
        if kind == "string":
            cut = f"{cut}.decode()"
        elif decimal:
            cut = f"_from({cut}, 'big', signed=True)"
        add(depth, f"{name} = {cut}; at += n")
    elif kind in ("int", "long"):
        # One octet is a small count, six are milliseconds of our time; the last octet of a long has no high bit.
        add(depth, "n = b[at]", f"if n < 128: {name} = (n >> 1) ^ -(n & 1); at += 1", "else:")
        add(depth + 1, "n = _from(b[at:at + 6], 'little')", "if n & 0x808080808081 == 0x8080808080:")
        add(depth + 2, f"{name} = {_SIX}; at += 6")
        add(depth + 1, f"else: {name}, at = _long_at(b, at)")
    elif kind == "boolean":
        add(depth, f"{name} = b[at] == 1; at += 1")
    elif kind == "double":
        source.names["_double"] = _DOUBLE.unpack_from
        add(depth, f"{name} = _double(b, at)[0]; at += 8")
    elif kind["type"] in ("array", "map"):
        of = kind["items"] if kind["type"] == "array" else kind["values"]
        left = source.new()
        add(depth, f"{name} = {'[]' if kind['type'] == 'array' else '{}'}", "while True:")
        add(depth + 1, f"{left}, at = _long_at(b, at)", f"if {left} == 0: break")
        add(depth + 1, f"if {left} < 0: {left} = -{left}; n, at = _long_at(b, at)", f"for {left} in range({left}):")
        if kind["type"] == "array":
            add(depth + 2, f"{name}.append({_read(source, depth + 2, of, False, kinds)})")
        else:
            key = _read(source, depth + 2, "string", False, kinds)
            add(depth + 2, f"{name}[{key}] = {_read(source, depth + 2, of, False, kinds)}")
    else:
        record = kind["name"].rsplit(".", 1)[-1]
        add(depth, f"{name} = {_read_record(source, depth, kinds[record], kind, frozenset(), kinds)}")
    return name

"""What is wrong with a request: one fault a field, in words that never repeat a number or a text."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """`field` is the path inside the object, such as `to` or `variables`; `code` a stable word for programs."""

    field: str
    code: str
    detail: str

    def entry(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "detail": self.detail}


def problem_of(faults: Sequence[Fault], status: int = 422) -> dict[str, Any]:
    """The RFC 9457 document of one refused object; `detail` tells of the first fault, `errors` of all."""
    first = faults[0]
    return {
        "type": "urn:relais:problem:invalid_request",
        "title": "invalid request",
        "status": status,
        "detail": f"{first.field}: {first.detail}",
        "errors": [fault.entry() for fault in faults],
    }


class Shape(NamedTuple):
    """What a field must be in JSON; `kinds` as Python sees it after decoding."""

    kinds: tuple[type, ...]
    words: str
    required: bool = False


STRING = Shape((str,), "must be a string")
REQUIRED_STRING = STRING._replace(required=True)
INTEGER = Shape((int,), "must be a whole number")
OBJECT = Shape((dict,), "must be an object")
NUMBER_OR_STRING = Shape((int, float, str), "must be a number, or a decimal number as a string")


def shape_faults(value: Any, shapes: Mapping[str, Shape]) -> list[Fault]:
    """Missing, unknown and wrongly typed fields of a decoded JSON value, all of them."""
    if not isinstance(value, dict):
        return [Fault("body", "wrong_type", "must be an object")]
    faults = [
        Fault(_shown(name), "unknown_field", f"no such field; known are {', '.join(shapes)}")
        for name in value
        if name not in shapes
    ]
    for name, shape in shapes.items():
        found = value.get(name)
        if found is None:
            if shape.required:
                faults.append(Fault(name, "missing", "is required"))
        elif not isinstance(found, shape.kinds) or isinstance(found, bool):
            faults.append(Fault(name, "wrong_type", shape.words))
    return faults


def _shown(name: str) -> str:
    """A caller's own field name, cut and cleaned; one with many digits may be a number in disguise and is not shown."""
    cleaned = "".join(c if c.isprintable() else "?" for c in name[:40])
    return "(unnamed)" if sum(c.isdigit() for c in cleaned) > 5 or not cleaned else cleaned

"""A segment's filter tree as one SQL condition. What the caller wrote travels as parameters only, names included.

    {"all": [...]}   {"any": [...]}   {"not": ...}
    {"attr": "city", "op": "eq", "value": "Lyon"}
    {"event": "purchase", "within_days": 30, "agg": "count", "op": "gte", "value": 2}

Every condition is true or false, never null, so that `not` means the rest of the audience.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

MAX_DEPTH: Final = 10
MAX_NODES: Final = 200
MAX_LIST: Final = 1000
MAX_TEXT: Final = 500
MAX_DAYS: Final = 3660
DAY_MS: Final = 86_400_000
MICROS: Final = 1_000_000

BUILT_IN: Final = {"country": "c.country", "locale": "c.locale", "time_zone": "c.time_zone"}
_ORDER: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_COMPARE: Final = {**_ORDER, "eq": "=", "ne": "<>"}
ATTR_OPS: Final = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "exists", "contains")
AGGREGATES: Final = ("count", "sum", "recency_days")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(\.[A-Za-z_][A-Za-z0-9_\-]*){0,4}")


class FilterTrouble(Struct, frozen=True):
    """`path` leads to the place in the tree, such as `filter.all.1.op`."""

    path: str
    code: str
    detail: str


class FilterError(ValueError):
    """All that is wrong with a filter."""

    def __init__(self, troubles: list[FilterTrouble]) -> None:
        super().__init__(troubles[0].detail)
        self.troubles = troubles


class Condition(Struct, frozen=True):
    """`sql` is a boolean expression over contacts `c` with $n placeholders; `params` are their values, in order."""

    sql: str
    params: tuple[Any, ...]


def compile_filter(tree: Any, now_ms: int, *, first: int = 1, path: str = "filter") -> Condition:
    """The condition for a filter tree as decoded from JSON. FilterError with every trouble found.

    `first`: number of the first placeholder, for a statement with parameters of its own.
    """
    compiler = _Compiler(now_ms, first)
    sql = compiler.node(tree, path, 1)
    if compiler.troubles:
        raise FilterError(compiler.troubles)
    return Condition(sql, tuple(compiler.params))


class _Compiler:
    def __init__(self, now_ms: int, first: int) -> None:
        self.params: list[Any] = []
        self.troubles: list[FilterTrouble] = []
        self._now_ms, self._first, self._nodes = now_ms, first, 0

    def node(self, tree: Any, path: str, depth: int) -> str:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            return self._once(path, "too_large", f"a filter has at most {MAX_NODES} conditions")
        if depth > MAX_DEPTH:
            return self._once(path, "too_deep", f"a filter is at most {MAX_DEPTH} levels deep")
        if not isinstance(tree, dict):
            return self._wrong(path, "invalid_type", "a condition is an object")
        kinds = [key for key in _KINDS if key in tree]
        if len(kinds) != 1:
            return self._wrong(path, "unknown_condition", "a condition has exactly one of all, any, not, attr, event")
        compiled: str = _KINDS[kinds[0]](self, tree, path, depth)
        return compiled

    def _all(self, tree: dict[str, Any], path: str, depth: int) -> str:
        return self._joined("all", " AND ", "true", tree, path, depth)

    def _any(self, tree: dict[str, Any], path: str, depth: int) -> str:
        if tree["any"] == []:
            return self._wrong(f"{path}.any", "empty", "an empty list would match nobody")
        return self._joined("any", " OR ", "false", tree, path, depth)

    def _joined(self, key: str, word: str, empty: str, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {key}, path)
        items = tree[key]
        if not isinstance(items, list):
            return self._wrong(f"{path}.{key}", "invalid_type", "is a list of conditions")
        parts = [self.node(item, f"{path}.{key}.{i}", depth + 1) for i, item in enumerate(items)]
        return "(" + word.join(parts) + ")" if parts else empty

    def _not(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"not"}, path)
        return f"(NOT {self.node(tree['not'], f'{path}.not', depth + 1)})"

    def _attr(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"attr", "op", "value"}, path)
        name, op = tree["attr"], tree.get("op", "eq")
        if not isinstance(name, str) or len(name) > MAX_TEXT or not _NAME.fullmatch(name):
            return self._wrong(
                f"{path}.attr", "invalid_name", "is a name of letters, digits, _ and -, dots for nesting"
            )
        if op not in ATTR_OPS:
            return self._wrong(f"{path}.op", "unknown_operator", f"is one of {', '.join(ATTR_OPS)}")
        if "value" not in tree:
            return self._wrong(f"{path}.value", "missing", "is required")
        value = tree["value"]
        if not self._fits(op, value, f"{path}.value"):
            return "false"
        if name in BUILT_IN:
            return self._column(BUILT_IN[name], op, value, f"{path}.value")
        return self._attribute(name, op, value)

    def _fits(self, op: str, value: Any, path: str) -> bool:
        """Whether an operator can take the value; else a trouble is noted."""
        if op == "exists":
            return isinstance(value, bool) or self._noted(path, "invalid_type", "is true or false")
        if op == "in":
            if not isinstance(value, list) or not value or len(value) > MAX_LIST:
                return self._noted(path, "invalid_type", f"is a list of one to {MAX_LIST} values")
            fitting = [self._is_scalar(item, f"{path}.{i}") for i, item in enumerate(value)]  # every trouble is noted
            return all(fitting)
        if op in _ORDER and (isinstance(value, bool) or not isinstance(value, int | float | str)):
            return self._noted(path, "invalid_type", "is a number or a text, to compare with")
        return self._is_scalar(value, path)

    def _is_scalar(self, value: Any, path: str) -> bool:
        if isinstance(value, str):
            if len(value) > MAX_TEXT or "\0" in value:
                return self._noted(path, "too_long", f"is a text of at most {MAX_TEXT} characters")
            return True
        if isinstance(value, bool | int | float):
            return True
        return self._noted(path, "invalid_type", "is a text, a number, true or false")

    def _column(self, column: str, op: str, value: Any, path: str) -> str:
        """One of the contact's own fields, which are text or absent."""
        if op == "exists":
            return f"({column} IS NOT NULL)" if value else f"({column} IS NULL)"
        values = value if op == "in" else [value]
        if not all(isinstance(item, str) for item in values):
            return self._wrong(path, "invalid_type", "this field is a text")
        if op == "in":
            return f"COALESCE({column} = ANY({self._param(value)}::text[]), false)"
        given = f"{self._param(value)}::text"
        if op == "ne":
            return f"({column} IS DISTINCT FROM {given})"
        if op == "contains":
            return f"COALESCE(strpos({column}, {given}) > 0, false)"
        return f'COALESCE({column} COLLATE "C" {_COMPARE[op]} {given}, false)'

    def _attribute(self, name: str, op: str, value: Any) -> str:
        """An attribute of the tenant's own, in the contact's JSON."""
        place = self._param(name.split("."))
        found, as_text = f"(c.attributes #> {place}::text[])", f"(c.attributes #>> {place}::text[])"
        if op == "exists":
            return f"({found} IS {'NOT ' if value else ''}NULL)"
        if op == "in":
            return f"COALESCE({found} = ANY({self._param([_json(item) for item in value])}::jsonb[]), false)"
        if op in ("eq", "ne"):
            given = f"{self._param(_json(value))}::jsonb"
            return f"({found} IS DISTINCT FROM {given})" if op == "ne" else f"COALESCE({found} = {given}, false)"
        if op == "contains":
            in_list = f"WHEN 'array' THEN {found} @> {self._param(_json([value]))}::jsonb"
            in_text = (
                f"WHEN 'string' THEN strpos({as_text}, {self._param(value)}::text) > 0"
                if isinstance(value, str)
                else ""
            )
            return f"COALESCE(CASE jsonb_typeof({found}) {in_list} {in_text} END, false)"
        if isinstance(value, str):  # texts compare by code point: right for dates written as in ISO 8601
            compared = f'{as_text} COLLATE "C" {_ORDER[op]} {self._param(value)}::text'
            return f"COALESCE(CASE jsonb_typeof({found}) WHEN 'string' THEN {compared} END, false)"
        # A number against a number in JSON's own order, which is numeric within the type.
        compared = f"{found} {_ORDER[op]} {self._param(_json(value))}::jsonb"
        return f"COALESCE(CASE jsonb_typeof({found}) WHEN 'number' THEN {compared} END, false)"

    def _event(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"event", "within_days", "agg", "op", "value", "currency"}, path)
        name, agg, op = tree["event"], tree.get("agg", "count"), tree.get("op", "gte")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT or "\0" in name:
            return self._wrong(f"{path}.event", "invalid_name", "is an event's name")
        if agg not in AGGREGATES:
            return self._wrong(f"{path}.agg", "unknown_aggregate", f"is one of {', '.join(AGGREGATES)}")
        if op not in _COMPARE:
            return self._wrong(f"{path}.op", "unknown_operator", f"is one of {', '.join(_COMPARE)}")
        value = tree.get("value", 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong(f"{path}.value", "invalid_type", "is a number")
        days = tree.get("within_days")
        if days is not None and (isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_DAYS):
            return self._wrong(f"{path}.within_days", "out_of_range", f"is a whole number from 1 to {MAX_DAYS}")
        currency = tree.get("currency")
        if currency is not None and (not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency)):
            return self._wrong(f"{path}.currency", "invalid_currency", "is a code of ISO 4217, such as EUR")
        rows = f"FROM event_days e WHERE e.tenant_id = c.tenant_id AND e.contact_ref = c.ref AND e.name = {self._param(name)}::text"
        if days is not None:
            rows += f" AND e.day >= {self._param(self._now_ms // DAY_MS - days)}::int"
        if currency is not None:
            rows += f" AND e.currency = {self._param(currency)}::text"
        given = f"{self._param(value)}::float8"
        if agg == "recency_days":  # who never did it has no recency, and matches no comparison
            since = f"({self._param(self._now_ms)}::bigint - max(e.last_at)) / {float(DAY_MS)}"
            return f"COALESCE((SELECT {since} {_COMPARE[op]} {given} {rows}), false)"
        total = "sum(e.count)" if agg == "count" else f"sum(e.sum_micros) / {float(MICROS)}"
        return f"((SELECT COALESCE({total}, 0) {_COMPARE[op]} {given} {rows}))"

    def _param(self, value: Any) -> str:
        self.params.append(value)
        return f"${self._first + len(self.params) - 1}"

    def _only(self, tree: dict[str, Any], known: set[str], path: str) -> None:
        for key in tree:
            if key not in known:
                self._wrong(f"{path}.{key}"[:200], "unknown_field", "is not a field of this condition")

    def _wrong(self, path: str, code: str, detail: str) -> str:
        self.troubles.append(FilterTrouble(path, code, detail))
        return "false"

    def _once(self, path: str, code: str, detail: str) -> str:
        return "false" if any(t.code == code for t in self.troubles) else self._wrong(path, code, detail)

    def _noted(self, path: str, code: str, detail: str) -> bool:
        self._wrong(path, code, detail)
        return False


_Kind = Callable[[_Compiler, dict[str, Any], str, int], str]
_KINDS: Final[dict[str, _Kind]] = {
    "all": _Compiler._all,
    "any": _Compiler._any,
    "not": _Compiler._not,
    "attr": _Compiler._attr,
    "event": _Compiler._event,
}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()

"""A segment's filter tree as one SQL condition. What the caller wrote travels as parameters only, names included.

    {"all": [...]}   {"any": [...]}   {"not": ...}
    {"attr": "city", "op": "eq", "value": "Lyon"}
    {"event": "purchase", "within_days": 30, "agg": "count", "op": "gte", "value": 2}
    {"near": "home", "lat": 48.85, "lon": 2.35, "km": 10}    {"inside": "home", "polygon": [[48.8, 2.2], ...]}
    {"consent": "marketing", "state": "granted"}    {"segment": "regulars"}    {"list": "vips"}
    {"campaign": "spring", "did": "received" or "delivered" or "clicked" or "converted"}
    {"attr": "rfm", "op": "in", "value": ["champions", "loyal"]}

A point is an attribute such as {"lat": 48.85, "lon": 2.35}. The statement around has the tenant as its $1.

Every condition is true or false, never null, so that `not` means the rest of the audience.
"""

import operator
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import Struct

from segmenter.domain.attributes import Kind
from segmenter.domain.rfm import CLASSES

MAX_DEPTH: Final = 10
MAX_NODES: Final = 200
MAX_LIST: Final = 1000
MAX_TEXT: Final = 500
MAX_DAYS: Final = 3660
DAY_MS: Final = 86_400_000
MICROS: Final = 1_000_000

RFM: Final = "(SELECT x.class FROM rfm x WHERE x.tenant_id = $1 AND x.contact_ref = c.ref)"
BUILT_IN: Final = {"country": "c.country", "locale": "c.locale", "time_zone": "c.time_zone", "rfm": RFM}
# What somebody did with a campaign. Bought within a week of the message: converted, as a filter sees it; reports have
# four models of attribution.
DID: Final = {
    "received": "true",
    "delivered": "m.delivered_at IS NOT NULL",
    "clicked": "m.clicked_at IS NOT NULL",
    "converted": "EXISTS (SELECT FROM event_days e WHERE e.tenant_id = $1 AND e.contact_ref = m.contact_ref AND e.currency <> '' "
    f"AND e.last_at >= m.sent_at AND e.day BETWEEN m.sent_at / {DAY_MS} AND m.sent_at / {DAY_MS} + 7)",
}
_ORDER: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_COMPARE: Final = {**_ORDER, "eq": "=", "ne": "<>"}
ATTR_OPS: Final = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "exists", "contains")
AGGREGATES: Final = ("count", "sum", "recency_days", "first_days")
MOST_CORNERS: Final = 200
FURTHEST_KM: Final = 20_038  # half way round
MEAN_RADIUS_KM: Final = 6371.0088  # of the Earth, IUGG
CONSENT_STATES: Final = ("granted", "withdrawn", "suppressed", "none")
_FITTING: Final[dict[Kind, Any]] = {"text": str, "date": str, "number": int | float, "boolean": bool}
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


def compile_filter(
    tree: Any, now_ms: int, *, first: int = 2, path: str = "filter", segments: Mapping[str, Any] | None = None,
    few: bool = False, name: str = "", attributes: Mapping[str, Kind] | None = None,
) -> Condition:  # fmt: skip
    """The condition for a filter tree as decoded from JSON. FilterError with every trouble found.

    `first`: number of the first placeholder, for a statement with parameters of its own, the tenant being $1.
    `segments`: trees of the segments that the tree names. `few`: for a statement over few people, who are looked up one
    by one; else behaviour is gathered once for everybody. `name`: the segment whose filter this is. `attributes`: kinds of
    those that the tenant's contacts have, to refuse a filter on any other; None: whoever stored the filter was asked.
    """
    compiler = _Compiler(now_ms, first, segments or {}, few, name, attributes)
    sql = compiler.node(tree, path, 1)
    if compiler.troubles:
        raise FilterError(compiler.troubles)
    return Condition(sql, tuple(compiler.params))


class _Compiler:
    def __init__(
        self, now_ms: int, first: int, segments: Mapping[str, Any], few: bool, name: str, attributes: Mapping[str, Kind] | None
    ) -> None:  # fmt: skip
        self._segments, self._few, self._within, self._attributes = segments, few, [name], attributes
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
            return self._wrong(path, "unknown_condition", f"a condition has exactly one of {', '.join(_KINDS)}")
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
        if not self._is_known(name, op, value, path):
            return "false"
        return self._attribute(name, op, value)

    def _is_known(self, name: str, op: str, value: Any, path: str) -> bool:
        """Whether contacts have such an attribute, of a kind that can have the value; else a trouble is noted."""
        kind = self._kind(name, f"{path}.attr")
        if kind is None:
            return False
        fitting = _FITTING.get(kind)
        if op == "exists" or fitting is None or "." in name:
            return True
        values = value if op == "in" else [value]
        if op == "contains" and kind != "text":
            return self._noted(f"{path}.op", "wrong_kind", f"`{name[:100]}` is a {kind}, which contains nothing")
        if all(isinstance(item, fitting) and isinstance(item, bool) == (kind == "boolean") for item in values):
            return True
        return self._noted(f"{path}.value", "wrong_kind", f"`{name[:100]}` is a {kind}: compare it with one")

    def _kind(self, name: str, path: str) -> Kind | None:
        """The kind of an attribute, `mixed` when nobody knows; None, and a trouble, when no contact has it."""
        if self._attributes is None:
            return "mixed"
        top = name.partition(".")[0]
        kind = self._attributes.get(name) or self._attributes.get(top)
        if kind is None:
            near = get_close_matches(top, [*self._attributes, *BUILT_IN], n=1)
            hint = f": did you mean `{near[0][:100]}`?" if near else ""
            self._wrong(path, "unknown_attribute", f"no contact has an attribute `{top[:100]}`{hint}")
        return kind

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
        if column == RFM and op in ("eq", "in"):
            unknown = sorted(set(values) - set(CLASSES))
            if unknown:
                return self._wrong(path, "unknown_class", f"is one of {', '.join(CLASSES)}")
            if not self._few:  # the few of a class are gathered once
                held = f"x.class = ANY({self._param(values)}::text[])"
                return f"(c.ref IN (SELECT x.contact_ref FROM rfm x WHERE x.tenant_id = $1 AND {held}))"
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
        if op != "eq":
            place = self._param(name.split("."))
            found, as_text = f"(c.attributes #> {place}::text[])", f"(c.attributes #>> {place}::text[])"
        if op == "exists":
            return f"({found} IS {'NOT ' if value else ''}NULL)"
        if op == "in":
            return f"COALESCE({found} = ANY({self._param([_json(item) for item in value])}::jsonb[]), false)"
        if op == "eq":  # containment, which the index answers; of a scalar it is equality
            whole = value
            for step in reversed(name.split(".")):
                whole = {step: whole}
            return f"(c.attributes @> {self._param(_json(whole))}::jsonb)"
        if op == "ne":
            given = f"{self._param(_json(value))}::jsonb"
            return f"({found} IS DISTINCT FROM {given})"
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
        rows = f"FROM event_days e WHERE e.tenant_id = $1 AND e.name = {self._param(name)}::text"
        if days is not None:
            rows += f" AND e.day >= {self._param(self._now_ms // DAY_MS - days)}::int"
        if currency is not None:
            rows += f" AND e.currency = {self._param(currency)}::text"
        given = f"{self._param(value)}::float8"
        if agg == "count":
            measured = "sum(e.count)"
        elif agg == "sum":
            measured = f"sum(e.sum_micros) / {float(MICROS)}"
        elif agg == "recency_days":
            measured = f"({self._param(self._now_ms)}::bigint - max(e.last_at)) / {float(DAY_MS)}"
        else:
            measured = f"{self._param(self._now_ms // DAY_MS)}::int - min(e.day)"
        # Who never did it has a count and a sum of nothing, and neither a first nor a last time.
        without = agg in ("count", "sum") and _HOLDS[op](0, value)
        test = f"{measured} {_COMPARE[op]} {given}"
        if self._few:
            return f"COALESCE((SELECT {test} {rows} AND e.contact_ref = c.ref GROUP BY e.contact_ref), {str(without).lower()})"
        having = f"NOT ({test})" if without else test
        return f"(c.ref {'NOT IN' if without else 'IN'} (SELECT e.contact_ref {rows} GROUP BY e.contact_ref HAVING {having}))"

    def _near(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"near", "lat", "lon", "km"}, path)
        point = self._point(tree["near"], f"{path}.near")
        bounds = {"lat": (-90, 90), "lon": (-180, 180), "km": (0, FURTHEST_KM)}
        fitting = [
            self._is_between(tree.get(name), low, high, f"{path}.{name}") for name, (low, high) in bounds.items()
        ]
        if point is None or not all(fitting):
            return "false"
        lat, lon = (f"radians({self._param(float(tree[name]))}::float8)" for name in ("lat", "lon"))
        p_lat, p_lon = (f"radians({axis})" for axis in point)
        half = (
            f"power(sin(({p_lat} - {lat}) / 2), 2) + cos({lat}) * cos({p_lat}) * power(sin(({p_lon} - {lon}) / 2), 2)"
        )
        away = f"{2 * MEAN_RADIUS_KM} * asin(sqrt(least(1.0, {half})))"
        return f"COALESCE({away} <= {self._param(float(tree['km']))}::float8, false)"

    def _inside(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"inside", "polygon"}, path)
        point, corners = self._point(tree["inside"], f"{path}.inside"), tree.get("polygon")
        if not isinstance(corners, list) or not 3 <= len(corners) <= MOST_CORNERS:
            return self._wrong(f"{path}.polygon", "invalid_type", f"is a list of 3 to {MOST_CORNERS} points [lat, lon]")
        for number, corner in enumerate(corners):
            place = f"{path}.polygon.{number}"
            if not isinstance(corner, list) or len(corner) != 2:
                return self._wrong(place, "invalid_type", "is a point [lat, lon]")
            if not (self._is_between(corner[0], -90, 90, place) and self._is_between(corner[1], -180, 180, place)):
                return "false"
        if point is None:
            return "false"
        drawn = ",".join(f"({float(lon)!r},{float(lat)!r})" for lat, lon in corners)
        return f"COALESCE(point({point[1]}, {point[0]}) <@ {self._param(drawn)}::text::polygon, false)"

    def _point(self, name: Any, path: str) -> tuple[str, str] | None:
        """Latitude and longitude of an attribute, null where it is no point."""
        if not isinstance(name, str) or len(name) > MAX_TEXT or not _NAME.fullmatch(name):
            self._wrong(path, "invalid_name", "is an attribute that holds a point")
            return None
        kind = self._kind(name, path)
        if kind is None or (kind in _FITTING and "." not in name):
            if kind is not None:
                self._wrong(path, "wrong_kind", f"`{name[:100]}` is a {kind}, not a point")
            return None
        found = f"(c.attributes #> {self._param(name.split('.'))}::text[])"
        return tuple(  # type: ignore[return-value]
            f"(CASE jsonb_typeof({found} -> '{axis}') WHEN 'number' THEN ({found} ->> '{axis}')::float8 END)"
            for axis in ("lat", "lon")
        )

    def _is_between(self, value: Any, low: float, high: float, path: str) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return self._noted(path, "out_of_range", f"is a number from {low} to {high}")
        return True

    def _consent(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"consent", "state"}, path)
        purpose, state = tree["consent"], tree.get("state", "granted")
        if not isinstance(purpose, str) or not 0 < len(purpose) <= MAX_TEXT or "\0" in purpose:
            return self._wrong(f"{path}.consent", "invalid_name", "is a purpose such as marketing")
        if state not in CONSENT_STATES:
            return self._wrong(f"{path}.state", "invalid_value", f"is one of {', '.join(CONSENT_STATES)}")
        rows = "SELECT 1 FROM consent_state s WHERE s.tenant_id = $1 AND s.contact_ref = c.ref AND"
        if state == "none":
            return f"(NOT EXISTS ({rows} s.purposes ? {self._param(purpose)}::text))"
        said = f"EXISTS ({rows} s.purposes -> {self._param(purpose)}::text ->> 'state' = {self._param(state)}::text)"
        if state != "suppressed":
            return said
        return (
            f"({said} OR EXISTS (SELECT 1 FROM suppressions p WHERE p.tenant_id = $1 AND p.contact_id = c.contact_id))"
        )

    def _campaign(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"campaign", "did"}, path)
        name, did = tree["campaign"], tree.get("did", "received")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT or "\0" in name:
            return self._wrong(f"{path}.campaign", "invalid_name", "is a campaign's id")
        if did not in DID:
            return self._wrong(f"{path}.did", "invalid_value", f"is one of {', '.join(DID)}")
        rows = (
            f"FROM campaign_marks m WHERE m.tenant_id = $1 AND m.campaign_id = {self._param(name)}::text AND {DID[did]}"
        )
        if self._few:
            return f"(EXISTS (SELECT {rows} AND m.contact_ref = c.ref))"
        return f"(c.ref IN (SELECT m.contact_ref {rows}))"

    def _list(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"list"}, path)
        name = tree["list"]
        if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT or "\0" in name:
            return self._wrong(f"{path}.list", "invalid_name", "is a list's id")
        rows = f"FROM list_members l WHERE l.tenant_id = $1 AND l.list_id = {self._param(name)}::text"
        if self._few:
            return f"(EXISTS (SELECT {rows} AND l.contact_ref = c.ref))"
        return f"(c.ref IN (SELECT l.contact_ref {rows}))"

    def _segment(self, tree: dict[str, Any], path: str, depth: int) -> str:
        self._only(tree, {"segment"}, path)
        name = tree["segment"]
        if not isinstance(name, str) or name not in self._segments:
            return self._wrong(f"{path}.segment", "unknown", "there is no such segment")
        if name in self._within:
            return self._wrong(f"{path}.segment", "circular", "is made of itself")
        self._within.append(name)
        sql = self.node(self._segments[name], f"{path}.segment({name})", depth + 1)
        self._within.pop()
        return sql

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
    "near": _Compiler._near,
    "inside": _Compiler._inside,
    "consent": _Compiler._consent,
    "segment": _Compiler._segment,
    "campaign": _Compiler._campaign,
    "list": _Compiler._list,
}
_HOLDS: Final[dict[str, Callable[[float, float], bool]]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge, "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip


def named_segments(tree: Any) -> set[str]:
    """Segments that a tree names, at any depth that is allowed."""
    found: set[str] = set()
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, dict) or depth > MAX_DEPTH:
            continue
        if isinstance(node.get("segment"), str):
            found.add(node["segment"])
        for key in ("all", "any"):
            items = node.get(key)
            if isinstance(items, list):
                waiting += [(item, depth + 1) for item in items[:MAX_NODES]]
        waiting.append((node.get("not"), depth + 1))
    return found


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()

"""A filter as people write it, to and from the tree that programs write.

    country = FR and purchase(30d).count >= 2 and not (tags contains vip or consent(marketing) = withdrawn)
    near(home, 48.85, 2.35, 10 km)    inside(home, 48.8 2.2, 48.9 2.2, 48.9 2.4)    segment(regulars)
    received(campaign spring)    delivered(campaign 12)    clicked(campaign 12)    converted(campaign 12)    list(vips)    rfm = champions
    everybody    has email    city in (Lyon, Paris)    purchase.sum(EUR) > 100    purchase.last < 30    purchase.first > 365

A word, a number, true or false stands for itself; anything else stands in double quotes, as in JSON. `and` binds
closer than `or`. `count` and `sum` are of all time without a span; `last` and `first` count days.
"""

import re
from typing import Any, Final, NamedTuple

import msgspec

LONGEST: Final = 20_000
DEEPEST: Final = 50  # of the text; the tree has a limit of its own
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\]|\\.)*\")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w]))|(?P<span>\d+d\b)|(?P<km>\d+(?:\.\d+)?km\b)"
    r"|(?P<word>[^\W\d][\w\-]*(?:\.[^\W\d][\w\-]*)*)|(?P<sign><=|>=|!=|[=<>(),]|\.))"
)
_SIGNS: Final = {"=": "eq", "!=": "ne", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_OPS: Final = {op: sign for sign, op in _SIGNS.items()}
_RESERVED: Final = frozenset(
    {"and", "or", "not", "in", "contains", "has", "true", "false", "near", "inside", "consent", "segment", "everybody"}
)
_DID: Final = ("received", "delivered", "clicked", "converted")
_AGGREGATES: Final = {"count": "count", "sum": "sum", "last": "recency_days", "first": "first_days"}
_WRITTEN: Final = {agg: word for word, agg in _AGGREGATES.items()}


class FilterTextError(ValueError):
    """`column` counts from 1."""

    def __init__(self, column: int, detail: str) -> None:
        super().__init__(f"column {column}: {detail}")
        self.column, self.detail = column, detail


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parsed(text: str) -> dict[str, Any]:
    """The tree. FilterTextError where the text cannot be read; what the tree says is judged when it is compiled."""
    if len(text) > LONGEST:
        raise FilterTextError(LONGEST, f"a filter has at most {LONGEST} characters")
    parser = _Parser(_tokens(text))
    tree = parser.either(1)
    parser.end()
    return tree


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            if not text[at:].strip():
                break
            column = at + len(text[at:]) - len(text[at:].lstrip()) + 1
            raise FilterTextError(column, "cannot be read: texts with other signs stand in double quotes")
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found.group(kind), found.start(kind) + 1))
        at = found.end()
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at = tokens, 0

    def either(self, depth: int) -> dict[str, Any]:
        return self._joined("or", "any", depth)

    def end(self) -> None:
        if self._now.kind != "end":
            raise self._expected("`and`, `or` or the end")

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._now
        self._at += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self._now.kind in ("word", "sign") and self._now.text in texts

    def _must(self, text: str) -> None:
        if not self._is(text):
            raise self._expected(f"`{text}`")
        self._take()

    def _expected(self, what: str) -> FilterTextError:
        found = f"`{self._now.text}`" if self._now.kind != "end" else "the end"
        return FilterTextError(self._now.column, f"{what} is expected here, not {found[:60]}")

    def _joined(self, word: str, key: str, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            raise FilterTextError(self._now.column, f"is nested more than {DEEPEST} levels deep")
        below = self._joined if word == "or" else None
        items = [below("and", "all", depth) if below else self._one(depth)]
        while self._is(word):
            self._take()
            items.append(below("and", "all", depth) if below else self._one(depth))
        return items[0] if len(items) == 1 else {key: items}

    def _one(self, depth: int) -> dict[str, Any]:
        if self._is("not"):
            self._take()
            if depth > DEEPEST:
                raise FilterTextError(self._now.column, f"is nested more than {DEEPEST} levels deep")
            return {"not": self._one(depth + 1)}
        if self._is("("):
            self._take()
            inner = self.either(depth + 1)
            self._must(")")
            return inner
        if self._is("everybody"):
            self._take()
            return {"all": []}
        if self._is("has"):
            self._take()
            return {"attr": self._name(), "op": "exists", "value": True}
        for word, read in (
            ("near", self._near),
            ("inside", self._inside),
            ("consent", self._consent),
            ("segment", self._segment),
            ("list", self._contact_list),
        ):
            if self._is(word) and self._tokens[self._at + 1].text == "(":
                self._take()
                self._take()
                return read()
        if self._is(*_DID) and [t.text for t in self._tokens[self._at + 1 : self._at + 3]] == ["(", "campaign"]:
            return self._campaign()
        return self._condition()

    def _campaign(self) -> dict[str, Any]:
        did = self._take().text
        self._at += 2
        name = self._take().text if self._now.kind == "number" else self._name()
        self._must(")")
        return {"campaign": name, "did": did}

    def _contact_list(self) -> dict[str, Any]:
        name = self._name()
        self._must(")")
        return {"list": name}

    def _near(self) -> dict[str, Any]:
        name = self._name()
        self._must(",")
        lat = self._number()
        self._must(",")
        lon = self._number()
        self._must(",")
        if self._now.kind == "km":
            km: Any = _plain_number(self._take().text[:-2])
        else:
            km = self._number()
            self._must("km")
        self._must(")")
        return {"near": name, "lat": lat, "lon": lon, "km": km}

    def _inside(self) -> dict[str, Any]:
        name, corners = self._name(), []
        while self._is(","):
            self._take()
            corners.append([self._number(), self._number()])
        self._must(")")
        return {"inside": name, "polygon": corners}

    def _consent(self) -> dict[str, Any]:
        purpose = self._name()
        self._must(")")
        self._must("=")
        return {"consent": purpose, "state": self._name()}

    def _segment(self) -> dict[str, Any]:
        name = self._name()
        self._must(")")
        return {"segment": name}

    def _condition(self) -> dict[str, Any]:
        quoted = self._now.kind == "string"
        name = self._name()
        event, _, last = name.rpartition(".")
        if not quoted and event and last in _AGGREGATES:
            return self._aggregate(event, last, None)
        if self._is("(", "."):
            return self._behaviour(name)
        if self._is("in"):
            self._take()
            return {"attr": name, "op": "in", "value": self._list()}
        if self._is("contains"):
            self._take()
            return {"attr": name, "op": "contains", "value": self._value()}
        if self._is(*_SIGNS):
            return {"attr": name, "op": _SIGNS[self._take().text], "value": self._value()}
        raise self._expected("a comparison")

    def _behaviour(self, event: str) -> dict[str, Any]:
        """`"viewed page".count > 2` or `purchase(30d).count >= 2`."""
        days = None
        if self._is("("):
            self._take()
            if self._now.kind != "span":
                raise self._expected("a span such as `30d`")
            days = int(self._take().text[:-1])
            self._must(")")
        self._must(".")
        return self._aggregate(event, self._name(), days)

    def _aggregate(self, event: str, word: str, days: int | None) -> dict[str, Any]:
        if word not in _AGGREGATES:
            raise FilterTextError(self._now.column, f"`{word[:60]}` is none of {', '.join(_AGGREGATES)}")
        tree: dict[str, Any] = {"event": event, "agg": _AGGREGATES[word]}
        if days is not None:
            tree["within_days"] = days
        if self._is("("):
            self._take()
            tree["currency"] = self._name()
            self._must(")")
        if not self._is(*_SIGNS):
            raise self._expected("a comparison")
        return {**tree, "op": _SIGNS[self._take().text], "value": self._number()}

    def _name(self) -> str:
        if self._now.kind == "string":
            return str(self._decoded(self._take()))
        if self._now.kind != "word" or (self._now.text in _RESERVED):
            raise self._expected("a name")
        return self._take().text

    def _number(self) -> int | float:
        if self._now.kind != "number":
            raise self._expected("a number")
        return _plain_number(self._take().text)

    def _value(self) -> Any:
        if self._now.kind == "number":
            return self._number()
        if self._now.kind == "string":
            return self._decoded(self._take())
        if self._is("true", "false"):
            return self._take().text == "true"
        if self._now.kind == "word" and self._now.text not in _RESERVED:
            return self._take().text
        raise self._expected("a value")

    def _decoded(self, token: _Token) -> Any:
        try:
            return msgspec.json.decode(token.text)
        except msgspec.DecodeError:
            raise FilterTextError(token.column, "is not a text in double quotes, written as in JSON") from None

    def _list(self) -> list[Any]:
        self._must("(")
        values = [self._value()]
        while self._is(","):
            self._take()
            values.append(self._value())
        self._must(")")
        return values


def _plain_number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def written(tree: dict[str, Any]) -> str:
    """The text of a tree that compiles. `parsed` gives the same tree back, but for lists of one and empty ones."""
    if "all" in tree or "any" in tree:
        key, word = ("all", " and ") if "all" in tree else ("any", " or ")
        if not tree[key]:
            return "everybody"
        return word.join(_inner(item) if len(tree[key]) > 1 else written(item) for item in tree[key])
    if "not" in tree:
        return f"not {_inner(tree['not'])}"
    if "attr" in tree:
        return _attribute(tree)
    if "event" in tree:
        return _event(tree)
    if "near" in tree:
        return f"near({_word(tree['near'])}, {_value(tree['lat'])}, {_value(tree['lon'])}, {_value(tree['km'])} km)"
    if "inside" in tree:
        corners = ", ".join(f"{_value(lat)} {_value(lon)}" for lat, lon in tree["polygon"])
        return f"inside({_word(tree['inside'])}, {corners})"
    if "consent" in tree:
        return f"consent({_word(tree['consent'])}) = {_word(tree['state'])}"
    if "campaign" in tree:
        return f"{tree.get('did', 'received')}(campaign {_word(tree['campaign'])})"
    if "list" in tree:
        return f"list({_word(tree['list'])})"
    return f"segment({_word(tree['segment'])})"


def _inner(tree: dict[str, Any]) -> str:
    """In brackets where something else would else be joined first. A list of one is its one."""
    for key in ("all", "any"):
        if key in tree and len(tree[key]) == 1:
            return _inner(tree[key][0])
    joined = any(len(tree.get(key, ())) > 1 for key in ("all", "any"))
    return f"({written(tree)})" if joined else written(tree)


def _attribute(tree: dict[str, Any]) -> str:
    name, op, value = tree["attr"], tree.get("op", "eq"), tree["value"]
    if name in _RESERVED or name.rpartition(".")[2] in _AGGREGATES:
        name = f'"{name}"'  # else it would read as a condition on behaviour
    if op == "exists":
        return f"has {name}" if value else f"not has {name}"
    if op == "in":
        return f"{name} in ({', '.join(map(_value, value))})"
    return f"{name} {'contains' if op == 'contains' else _OPS[op]} {_value(value)}"


def _event(tree: dict[str, Any]) -> str:
    span = f"({tree['within_days']}d)" if tree.get("within_days") else ""
    agg = tree.get("agg", "count")
    money = f"({tree['currency']})" if tree.get("currency") else ""
    name = _word(tree["event"])
    return f"{name}{span}.{_WRITTEN[agg]}{money} {_OPS[tree.get('op', 'gte')]} {_value(tree.get('value', 1))}"


def _word(text: str) -> str:
    plain = re.fullmatch(r"[^\W\d][\w\-]*", text) and text not in _RESERVED
    return text if plain else msgspec.json.encode(text).decode()


def _value(value: Any) -> str:
    return _word(value) if isinstance(value, str) else msgspec.json.encode(value).decode()

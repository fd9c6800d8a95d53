"""A filter becomes SQL whose every word is ours: what the caller wrote is in the parameters, or refused."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.compile_filter import (
    AGGREGATES,
    ATTR_OPS,
    CONSENT_STATES,
    MAX_DEPTH,
    MAX_NODES,
    Condition,
    FilterError,
    compile_filter,
)
from segmenter.domain.estimate_share import estimated
from segmenter.domain.filter_text import FilterTextError, parsed, written

NOW = 1_795_000_000_000

# Everything that the compiler itself may write: names of our columns, keywords, operators, placeholders, casts, numbers.
OWN_WORDS = re.compile(
    r"c\.(country|locale|time_zone|attributes|tenant_id|ref)|e\.(tenant_id|contact_ref|name|day|currency|count|sum_micros|last_at)"
    r"|s\.(tenant_id|contact_ref|purposes)|p\.(tenant_id|contact_id)|c\.contact_id|consent_state|suppressions|EXISTS|GROUP|BY|HAVING|IN"
    r"|min|least|radians|power|sin|cos|asin|sqrt|point|polygon|'lat'|'lon'|'state'|->>|->|[?*+]|12742\.0176|<@|\b[12sp]\b(?!\.)"
    r"|event_days|COALESCE|CASE|WHEN|THEN|END|SELECT|FROM|WHERE|AND|OR|NOT|IS|DISTINCT|NULL|ANY|COLLATE|\"C\"|strpos|jsonb_typeof"
    r"|sum|max|true|false|'array'|'string'|'number'|text|jsonb|int|bigint|float8|e|\$\d+|\d+\.0|[0>]"
    r"|::|\[\]|#>>|#>|@>|<>|<=|>=|[<=/(),\-]|\s+"
)

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_\-]{0,10}(\.[A-Za-z_][A-Za-z0-9_\-]{0,10})?", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
scalars = st.one_of(
    texts, st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)


@st.composite
def attr_leaves(draw: st.DrawFn) -> dict[str, Any]:
    op = draw(st.sampled_from(ATTR_OPS))
    if op == "exists":
        return {"attr": draw(names), "op": op, "value": draw(st.booleans())}
    if draw(st.booleans()):
        name, value = draw(st.sampled_from(["country", "locale", "time_zone"])), texts
    else:
        name, value = draw(names), scalars if op not in ("lt", "lte", "gt", "gte") else st.one_of(texts, st.integers())
    return {"attr": name, "op": op, "value": draw(st.lists(value, min_size=1, max_size=3) if op == "in" else value)}


event_leaves = st.fixed_dictionaries(
    {
        "event": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
        "agg": st.sampled_from(AGGREGATES),
        "op": st.sampled_from(["eq", "ne", "lt", "lte", "gt", "gte"]),
        "value": st.integers(0, 1000),
    },
    optional={"within_days": st.integers(1, 365), "currency": st.sampled_from(["EUR", "USD"])},
)
leaves = (
    attr_leaves().filter(lambda leaf: leaf["attr"] not in ("country", "locale", "time_zone") or _text_only(leaf))
    | event_leaves
    | st.builds(lambda name, lat, lon, km: {"near": name, "lat": lat, "lon": lon, "km": km},
                names, st.floats(-90, 90), st.integers(-180, 180), st.integers(0, 500))
    | st.builds(lambda name, corners: {"inside": name, "polygon": corners},
                names, st.lists(st.tuples(st.integers(-90, 90), st.floats(-180, 180)).map(list), min_size=3, max_size=6))
    | st.builds(lambda purpose, state: {"consent": purpose, "state": state},
                st.sampled_from(["marketing", "otp"]), st.sampled_from(CONSENT_STATES))
    | st.just({"segment": "vip"})
)  # fmt: skip
SEGMENTS = {"vip": {"attr": "vip", "op": "eq", "value": True}}
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
)


def _text_only(leaf: dict[str, Any]) -> bool:
    values = leaf["value"] if isinstance(leaf["value"], list) else [leaf["value"]]
    return leaf["op"] == "exists" or all(isinstance(v, str) for v in values)


def own_words_only(sql: str) -> bool:
    place = 0
    while place < len(sql):
        found = OWN_WORDS.match(sql, place)
        if found is None or found.end() == place:
            return False
        place = found.end()
    return True


@given(trees, st.booleans())
def test_whatever_the_caller_writes_the_sql_holds_only_our_own_words(tree: Any, few: bool) -> None:
    condition = compile_filter(tree, NOW, segments=SEGMENTS, few=few)
    assert own_words_only(condition.sql), condition.sql


@given(trees)
def test_a_tree_written_as_text_reads_as_the_same_tree(tree: Any) -> None:
    assert parsed(written(tree)) == plain(tree)


def plain(tree: Any) -> Any:
    """Without lists of one, and with what a condition says by leaving it out."""
    for key in ("all", "any"):
        if key in tree:
            items = [plain(item) for item in tree[key]]
            return items[0] if len(items) == 1 else {key: items}
    if "not" in tree:
        return {"not": plain(tree["not"])}
    if tree.get("op") == "exists" and not tree["value"]:
        return {"not": {**tree, "value": True}}
    return tree


def test_people_write_filters_as_they_would_say_them() -> None:
    text = 'country = FR and purchase(30d).count >= 2 and not (tags contains vip or "viewed page".last > 7) or segment(regulars)'
    assert parsed(text) == {
        "any": [
            {
                "all": [
                    {"attr": "country", "op": "eq", "value": "FR"},
                    {"event": "purchase", "agg": "count", "within_days": 30, "op": "gte", "value": 2},
                    {
                        "not": {
                            "any": [
                                {"attr": "tags", "op": "contains", "value": "vip"},
                                {"event": "viewed page", "agg": "recency_days", "op": "gt", "value": 7},
                            ]
                        }
                    },
                ]
            },
            {"segment": "regulars"},
        ]
    }
    assert parsed("purchase.sum(EUR) > 99.5")["currency"] == "EUR"
    assert parsed("near(home, 48.85, 2.35, 10km)") == parsed("near(home, 48.85, 2.35, 10 km)")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1), ("country", 8), ("country = ", 11), ("country = FR and", 17), ("country = FR city = Lyon", 14),
        ("(country = FR", 14), ("purchase(30).count > 1", 10), ("a = 'x'", 5), ("not " * 60 + "a = 1", 205),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_read_is_refused_by_its_column(text: str, column: int) -> None:
    with pytest.raises(FilterTextError) as refused:
        parsed(text)
    assert refused.value.column == column


@given(st.text(max_size=60))
def test_any_text_at_all_is_read_or_refused(text: str) -> None:
    column = 1
    try:
        parsed(text)
    except FilterTextError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


def test_a_segment_made_of_itself_or_of_nothing_known_is_refused() -> None:
    for segments, code in (({}, "unknown"), ({"a": {"segment": "b"}, "b": {"not": {"segment": "a"}}}, "circular")):
        with pytest.raises(FilterError) as refused:
            compile_filter({"segment": "a"}, NOW, segments=segments)
        assert [t.code for t in refused.value.troubles] == [code]
    with pytest.raises(FilterError):
        compile_filter({"segment": "a"}, NOW, segments={"a": {"attr": "x", "value": 1}}, name="a")


@given(trees, st.integers(2, 9))
def test_placeholders_are_numbered_on_from_the_first_and_each_has_its_value(tree: Any, first: int) -> None:
    condition = compile_filter(tree, NOW, first=first, segments=SEGMENTS)
    used = {int(n) for n in re.findall(r"\$(\d+)", condition.sql)} - {1}  # the tenant, of the statement around
    assert used == set(range(first, first + len(condition.params)))


@given(st.recursive(scalars | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["all", "any", "not", "attr", "op", "value", "event", "agg", "within_days", "x"]), inner, max_size=4), max_leaves=20))  # fmt: skip
def test_any_json_at_all_is_compiled_or_refused_with_places_and_never_breaks(tree: Any) -> None:
    sql, troubles = "true", []
    try:
        sql = compile_filter(json.loads(json.dumps(tree)), NOW).sql
    except FilterError as error:
        sql, troubles = "", error.troubles
    assert bool(sql) != bool(troubles)
    assert own_words_only(sql)
    assert all(t.path.startswith("filter") and t.code and t.detail for t in troubles)


@pytest.mark.parametrize(
    ("tree", "path", "code"),
    [
        ([], "filter", "invalid_type"),
        ({}, "filter", "unknown_condition"),
        ({"all": [], "any": []}, "filter", "unknown_condition"),
        ({"all": {}}, "filter.all", "invalid_type"),
        ({"any": []}, "filter.any", "empty"),
        ({"not": 1}, "filter.not", "invalid_type"),
        ({"attr": "a; DROP TABLE contacts", "value": 1}, "filter.attr", "invalid_name"),
        ({"attr": "a", "op": "like", "value": "x"}, "filter.op", "unknown_operator"),
        ({"attr": "a", "op": "eq"}, "filter.value", "missing"),
        ({"attr": "a", "op": "eq", "value": None}, "filter.value", "invalid_type"),
        ({"attr": "a", "op": "in", "value": []}, "filter.value", "invalid_type"),
        ({"attr": "a", "op": "in", "value": ["x", {}]}, "filter.value.1", "invalid_type"),
        ({"attr": "a", "op": "lt", "value": True}, "filter.value", "invalid_type"),
        ({"attr": "a", "op": "exists", "value": 1}, "filter.value", "invalid_type"),
        ({"attr": "country", "op": "eq", "value": 33}, "filter.value", "invalid_type"),
        ({"attr": "a", "value": 1, "colour": 2}, "filter.colour", "unknown_field"),
        ({"event": "", "value": 1}, "filter.event", "invalid_name"),
        ({"event": "buy", "agg": "median"}, "filter.agg", "unknown_aggregate"),
        ({"event": "buy", "op": "in"}, "filter.op", "unknown_operator"),
        ({"event": "buy", "value": "2"}, "filter.value", "invalid_type"),
        ({"event": "buy", "within_days": 0}, "filter.within_days", "out_of_range"),
        ({"near": "home", "lat": 91, "lon": 0, "km": 1}, "filter.lat", "out_of_range"),
        ({"inside": "home", "polygon": [[0, 0], [0, 1]]}, "filter.polygon", "invalid_type"),
        ({"inside": "home", "polygon": [[0, 0], [0, 1], [1, 999]]}, "filter.polygon.2", "out_of_range"),
        ({"consent": "marketing", "state": "perhaps"}, "filter.state", "invalid_value"),
        ({"segment": "nobody"}, "filter.segment", "unknown"),
        ({"event": "buy", "currency": "euro"}, "filter.currency", "invalid_currency"),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused_where_it_is_wrong(tree: Any, path: str, code: str) -> None:
    with pytest.raises(FilterError) as refused:
        compile_filter(tree, NOW)
    assert [(t.path, t.code) for t in refused.value.troubles] == [(path, code)]


def test_every_trouble_of_a_filter_is_told_at_once() -> None:
    tree = {"all": [{"attr": "a", "op": "x", "value": 1}, {"any": [{"not": {"event": "e", "agg": "x"}}]}]}
    with pytest.raises(FilterError) as refused:
        compile_filter(tree, NOW)
    assert [t.path for t in refused.value.troubles] == ["filter.all.0.op", "filter.all.1.any.0.not.agg"]


def test_depth_and_size_have_an_end() -> None:
    deep: Any = {"attr": "a", "value": 1}
    for _ in range(MAX_DEPTH):
        deep = {"not": deep}
    wide = {"all": [{"attr": "a", "value": 1}] * MAX_NODES}
    for tree, code in ((deep, "too_deep"), (wide, "too_large")):
        with pytest.raises(FilterError) as refused:
            compile_filter(tree, NOW)
        assert [t.code for t in refused.value.troubles] == [code]


def test_an_empty_all_is_everyone() -> None:
    assert compile_filter({"all": []}, NOW) == Condition("true", ())


def test_days_are_counted_from_now() -> None:
    condition = compile_filter({"event": "buy", "within_days": 30, "value": 2}, NOW)
    assert NOW // 86_400_000 - 30 in condition.params


@given(st.integers(0, 10**6), st.integers(0, 5000), st.integers(0, 5000))
def test_an_estimate_lies_in_its_interval_and_never_contradicts_the_sample(
    total: int, sampled: int, matched: int
) -> None:
    sampled = min(sampled, total)
    matched = min(matched, sampled)
    found = estimated(total, sampled, matched)
    assert 0 <= found.low <= found.size <= found.high <= total
    assert found.low >= matched
    assert total - found.high >= sampled - matched


KNOWN: Any = {"city": "text", "points": "number", "vip": "boolean", "home": "point", "tags": "list", "odd": "mixed"}


@pytest.mark.parametrize(
    ("tree", "path", "code"),
    [
        ({"attr": "citty", "value": "Lyon"}, "filter.attr", "unknown_attribute"),
        ({"attr": "points", "op": "gt", "value": "3"}, "filter.value", "wrong_kind"),
        ({"attr": "points", "op": "in", "value": [1, True]}, "filter.value", "wrong_kind"),
        ({"attr": "city", "value": 3}, "filter.value", "wrong_kind"),
        ({"attr": "vip", "value": 1}, "filter.value", "wrong_kind"),
        ({"attr": "points", "op": "contains", "value": 3}, "filter.op", "wrong_kind"),
        ({"near": "city", "lat": 1, "lon": 1, "km": 1}, "filter.near", "wrong_kind"),
        ({"near": "work", "lat": 1, "lon": 1, "km": 1}, "filter.near", "unknown_attribute"),
    ],
)
def test_a_filter_on_what_no_contact_has_is_refused(tree: Any, path: str, code: str) -> None:
    with pytest.raises(FilterError) as refused:
        compile_filter(tree, NOW, attributes=KNOWN)
    assert [(t.path, t.code) for t in refused.value.troubles] == [(path, code)]


def test_a_misspelt_attribute_is_told_the_nearest_one() -> None:
    with pytest.raises(FilterError, match="did you mean `city`"):
        compile_filter({"attr": "citty", "value": "Lyon"}, NOW, attributes=KNOWN)


@pytest.mark.parametrize(
    "tree",
    [
        {"attr": "city", "op": "contains", "value": "y"}, {"attr": "points", "op": "gte", "value": 3}, {"attr": "vip", "value": True},
        {"attr": "odd", "value": 3}, {"attr": "tags", "op": "contains", "value": "a"}, {"attr": "country", "value": "FR"},
        {"attr": "home.lat", "op": "gt", "value": 3}, {"near": "home", "lat": 1, "lon": 1, "km": 1}, {"attr": "points", "op": "exists", "value": True},
    ],
)  # fmt: skip
def test_what_contacts_have_is_not_in_the_way(tree: Any) -> None:
    assert compile_filter(tree, NOW, attributes=KNOWN) == compile_filter(tree, NOW)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("clicked(campaign 12)", {"campaign": "12", "did": "clicked"}),
        ("not received(campaign spring-1)", {"not": {"campaign": "spring-1", "did": "received"}}),
        ('converted(campaign "the \\"one\\"")', {"campaign": 'the "one"', "did": "converted"}),
        ("list(vips)", {"list": "vips"}),
        ('rfm in (champions, "at risk")', {"attr": "rfm", "op": "in", "value": ["champions", "at risk"]}),
        ("clicked(30d).count > 2", {"event": "clicked", "agg": "count", "within_days": 30, "op": "gt", "value": 2}),
        ("list = 3", {"attr": "list", "op": "eq", "value": 3}),
    ],
)
def test_campaigns_lists_and_classes_are_written_as_people_say_them(text: str, tree: Any) -> None:
    assert parsed(text) == tree
    compile_filter(tree, NOW)
    assert parsed(written(tree)) == tree


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ({"campaign": 12, "did": "clicked"}, "filter.campaign"), ({"campaign": "a", "did": "opened"}, "filter.did"), ({"list": ""}, "filter.list"),
        ({"attr": "rfm", "op": "eq", "value": "champion"}, "filter.value"),
    ],
)  # fmt: skip
def test_what_campaigns_lists_and_classes_cannot_be_is_refused(tree: Any, path: str) -> None:
    with pytest.raises(FilterError) as refused:
        compile_filter(tree, NOW)
    assert [t.path for t in refused.value.troubles] == [path]

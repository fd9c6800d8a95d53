"""Kinds of attributes: learnt from what comes, widened, pinned; a CSV's words as values."""

from typing import Any

import pytest
from segmenter.domain.attributes import Schema, UnfitError, kind_of, kind_of_column, value_of


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Lyon", "text"), (3, "number"), (2.5, "number"), (True, "boolean"), ("2026-05-01", "date"), ("2026-05-01T10:00:00Z", "date"),
        ("2026-13-01", "text"), ([1], "list"), ({"lat": 48.8, "lon": 2.3}, "point"), ({"lat": 91, "lon": 2}, "object"), ({"x": 1}, "object"),
    ],
)  # fmt: skip
def test_a_value_shows_its_kind(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


def test_a_schema_learns_and_widens() -> None:
    schema = Schema({})
    schema.take({"born": "1990-01-01", "points": 3, "gone": None})
    assert schema.learnt == {"born": "date", "points": "number"}
    schema.take({"born": "spring"})
    schema.take({"points": "many"})
    assert schema.learnt == {"born": "text", "points": "mixed"}


def test_a_pinned_attribute_refuses_other_values_and_a_pinned_text_takes_what_looks_like_a_date() -> None:
    schema = Schema({"points": "number", "code": "text"}, ["points", "code"])
    schema.take({"points": 3, "code": "2026-05-01"})
    with pytest.raises(UnfitError, match="pinned as a number") as refused:
        schema.take({"points": "3"})
    assert (refused.value.name, refused.value.code) == ("points", "wrong_kind")
    assert schema.learnt == {}


def test_a_closed_schema_takes_no_new_attribute() -> None:
    with pytest.raises(UnfitError, match="no new attributes"):
        Schema({}, closed=True).take({"colour": "red"})


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["1", "20", "-3.5"], "number"), (["1", "2A"], "text"), (["0612", "0613"], "text"), (["true", "false"], "boolean"),
        (["2026-05-01"], "date"), (["48.85 2.35", "45.7,4.8"], "point"), (["[1,2]"], "list"), ([], "text"), (["+33612345678"], "text"),
    ],
)  # fmt: skip
def test_a_column_is_what_all_its_words_are(words: list[str], kind: str) -> None:
    assert kind_of_column(words) == kind


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("12", "text", "12"), ("12", "number", 12), ("1.50", "number", 1.5), ("x", "number", None), ("TRUE", "boolean", True),
        ("48.85, 2.35", "point", {"lat": 48.85, "lon": 2.35}), ("95.1 2.0", "point", None), ("[1", "list", None), ("x", None, "x"),
    ],
)  # fmt: skip
def test_a_word_becomes_a_value_of_its_attributes_kind(word: str, kind: Any, value: Any) -> None:
    assert value_of(word, kind) == value

"""An estimate is the plan's own count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.text.encoding import Encoding
from shared.text.errors import UnencodableError
from shared.text.estimate import Estimate, estimate, preview
from shared.text.national import Language
from shared.text.plan import plan
from shared.text.udh import LongMessage

some = st.text(st.sampled_from("ab€{éê中😀"), max_size=30)
texts = st.builds(lambda first, again, times: first + again * times, some, some, st.integers(0, 30))
methods = st.sampled_from(list(LongMessage))


@given(texts, methods)
def test_an_estimate_counts_what_the_plan_sends(text: str, method: LongMessage) -> None:
    told, planned = estimate(text, long_message=method), plan(text, long_message=method)
    assert (told.encoding, told.parts, told.units) == (planned.encoding, planned.parts, planned.units)


@given(texts, methods)
def test_the_room_left_is_what_still_fits_and_not_one_unit_more(text: str, method: LongMessage) -> None:
    told = estimate(text, long_message=method)
    filler = "a" if told.encoding is Encoding.GSM7 else "中"
    assert plan(text + filler * told.room_left, long_message=method).parts == told.parts
    assert plan(text + filler * (told.room_left + 1), long_message=method).parts == told.parts + 1


def test_estimates_of_known_texts() -> None:
    assert estimate("a" * 100) == Estimate(Encoding.GSM7, 1, 100, 160, 60, None)
    assert estimate("a" * 170) == Estimate(Encoding.GSM7, 2, 170, 153, 136, None)
    assert estimate("fenêtre") == Estimate(Encoding.UCS2, 1, 7, 70, 63, 3)
    assert estimate("") == Estimate(Encoding.GSM7, 1, 0, 160, 160, None)


def test_a_text_that_cannot_be_sent_has_no_estimate() -> None:
    with pytest.raises(UnencodableError):
        estimate("\ud800")


def test_an_estimate_names_the_national_tables_that_it_counts_with() -> None:
    told = estimate("ğ" * 100, national={Language.TURKISH})
    assert told == Estimate(Encoding.GSM7, 1, 100, 155, 55, 0, None, Language.TURKISH)
    assert estimate("ğ" * 100).parts == 2


def test_a_preview_shows_the_cost_with_and_without_transliteration() -> None:
    text = "L’été est là – profitez-en" + "!" * 100
    told = preview(text)
    assert told.as_it_is is not None
    assert told.transliterated is not None
    assert (told.as_it_is.parts, told.transliterated.parts) == (2, 1)
    assert told.changes == ((1, "’", "'"), (13, "–", "-"))
    assert told.text.startswith("L'été est là - profitez-en!")
    assert "été" not in repr(told)


def test_a_preview_of_a_text_that_needs_no_change_has_one_cost_only() -> None:
    told = preview("plain")
    assert told.transliterated is None
    assert told.changes == ()


def test_a_preview_of_what_cannot_be_sent_as_it_is_still_tells_what_can() -> None:
    told = preview("fenêtre", {Encoding.GSM7})
    assert told.as_it_is is None
    assert told.transliterated == estimate("fenetre")

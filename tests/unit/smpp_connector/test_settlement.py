"""A repeat tells exactly what was told the first time: the events come from the row alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.contracts.avro import codec_of
from smpp_connector.domain.claim_rules import Claim, Outcome
from smpp_connector.domain.settlement import (
    Settlement,
    about_of,
    events_of,
    pack_about,
    pack_answers,
    settlement_of,
    submitted_event,
)
from smpp_connector_makers import request

ANSWERS = st.lists(st.tuples(st.integers(-2, 0xFFFFFFFF), st.one_of(st.none(), st.text(max_size=20))), max_size=4)
ENDS = [o for o in Outcome if o is not Outcome.FREE]


@given(st.sampled_from(ENDS), ANSWERS, st.sampled_from(["marketing", "otp"]), st.booleans())
def test_what_the_row_tells_equals_what_was_told_first(
    outcome: Outcome, answers: list[tuple[int, str | None]], purpose: str, before: bool
) -> None:
    asked = request(purpose=purpose, sender="Relais", network="20801")
    first = Settlement(asked.message_id, 2, 3, outcome, "carrier_error", 1234, about_of(asked, ""), answers)
    row = Claim(
        message_id=asked.message_id, attempt=2, carrier="mercure", slot=3, epoch=9, token=1, outcome=str(outcome), owner_alive=False,
        cause="carrier_error", settled_at=1234, about=pack_about(first.about), answer=pack_answers(answers),
    )  # fmt: skip
    told = events_of(first, asked, "mercure", unknown_before=before)
    assert events_of(settlement_of(row), asked, "mercure", unknown_before=before) == told
    for event in told:
        codec_of(type(event)).encode(event, 1)  # every value fits its schema


@pytest.mark.parametrize(
    ("outcome", "purpose", "before", "kinds"),
    [
        (Outcome.SUBMITTED, "otp", False, ["MessageSubmitted"]),
        (Outcome.REJECTED, "otp", False, ["MessageSubmitted"]),
        (Outcome.FAILED, "marketing", False, ["MessageSubmitted", "MessageReturned"]),
        (Outcome.UNKNOWN, "marketing", False, ["MessageSubmitted"]),
        (Outcome.UNKNOWN, "transactional", False, ["MessageSubmitted"]),
        (Outcome.UNKNOWN, "otp", False, ["MessageSubmitted", "MessageReturned"]),
        (Outcome.UNKNOWN, "otp", True, ["MessageSubmitted"]),
        (Outcome.RETURNED, "marketing", False, ["MessageReturned"]),
        (Outcome.DROPPED, "marketing", False, ["MessageDropped"]),
    ],
)
def test_each_end_has_its_events(outcome: Outcome, purpose: str, before: bool, kinds: list[str]) -> None:
    asked = request(purpose=purpose)
    settlement = Settlement(asked.message_id, 1, 0, outcome, "why", 5, about_of(asked, "Default"))
    assert [type(e).__name__ for e in events_of(settlement, asked, "mercure", unknown_before=before)] == kinds


def test_the_sender_used_is_the_carriers_own_where_the_route_names_none() -> None:
    asked = request(sender=None)
    event = submitted_event(
        Settlement(asked.message_id, 1, 0, Outcome.SUBMITTED, None, 5, about_of(asked, "Own")), "mercure"
    )
    assert event is not None
    assert event.sender == "Own"


def test_a_carrier_is_named_once_among_those_tried() -> None:
    asked = request(tried=["iris"])
    settlement = Settlement(asked.message_id, 2, 0, Outcome.RETURNED, "carrier_down", 5, about_of(asked, ""))
    returned = events_of(settlement, asked, "mercure", unknown_before=False)[0]
    assert returned.tried == ["iris", "mercure"]  # type: ignore[attr-defined]


def test_an_open_or_free_claim_has_no_end_to_tell() -> None:
    for outcome in (None, "free"):
        row = Claim(message_id="m", attempt=1, carrier="c", slot=0, epoch=1, token=1, outcome=outcome, owner_alive=True)
        with pytest.raises(ValueError, match="not settled"):
            settlement_of(row)

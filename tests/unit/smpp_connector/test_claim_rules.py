"""What may be done with a record whose claim is already there: the whole table."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpp_connector.domain.claim_rules import Claim, Outcome, Ruling, ruling


def claim(**more: object) -> Claim:
    values = {
        "message_id": "m",
        "attempt": 1,
        "carrier": "mercure",
        "slot": 0,
        "epoch": 3,
        "token": 7,
        "outcome": None,
        "owner_alive": True,
    }
    return Claim(**{**values, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "unheard", "expected"),
    [
        (None, (), Ruling.TRY_AGAIN),
        (None, (7,), Ruling.TRY_AGAIN),
        (claim(), (), Ruling.WAIT),
        (claim(), (6,), Ruling.WAIT),
        (claim(), (6, 7), Ruling.FREE_IT),
        (claim(owner_alive=False), (), Ruling.DECLARE_UNKNOWN),
        (claim(owner_alive=False), (7,), Ruling.DECLARE_UNKNOWN),
        (claim(outcome="free"), (), Ruling.REARM),
        (claim(outcome="free", owner_alive=False), (), Ruling.REARM),
        (claim(outcome="submitted"), (), Ruling.REPUBLISH),
        (claim(outcome="rejected"), (), Ruling.REPUBLISH),
        (claim(outcome="failed"), (), Ruling.REPUBLISH),
        (claim(outcome="unknown"), (7,), Ruling.REPUBLISH),
        (claim(outcome="returned"), (), Ruling.REPUBLISH),
        (claim(outcome="dropped"), (), Ruling.REPUBLISH),
        (claim(carrier="iris"), (), Ruling.FINISH),
        (claim(carrier="iris", outcome="free"), (7,), Ruling.FINISH),
        (claim(carrier="iris", owner_alive=False), (), Ruling.FINISH),
    ],
)
def test_the_table(found: Claim | None, unheard: tuple[int, ...], expected: Ruling) -> None:
    assert ruling(found, "mercure", unheard) is expected


@given(
    st.sampled_from([None, *Outcome]),
    st.booleans(),
    st.integers(0, 3),
    st.sets(st.integers(0, 3)),
    st.sampled_from(["mercure", "iris"]),
)
def test_only_what_certainly_was_not_written_may_be_written(
    outcome: Outcome | None, alive: bool, token: int, unheard: set[int], carrier: str
) -> None:
    found = claim(outcome=outcome, owner_alive=alive, token=token, carrier=carrier)
    rule = ruling(found, "mercure", unheard)
    if rule is Ruling.REARM:
        assert outcome is Outcome.FREE
    if rule is Ruling.FREE_IT:
        assert outcome is None
        assert alive
        assert token in unheard
    if outcome is None and not alive:
        assert rule in (Ruling.DECLARE_UNKNOWN, Ruling.FINISH)


def test_every_state_has_a_ruling() -> None:
    for outcome, alive in itertools.product([None, *Outcome], (True, False)):
        assert ruling(claim(outcome=outcome, owner_alive=alive), "mercure", ()) in Ruling

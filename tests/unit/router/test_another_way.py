"""What carriers give back goes another way: never in circles, never for ever, never twice to a handset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.domain.choose_carrier import PASSING, Defer, Drop, Send
from router.domain.decide import (
    FORBIDDEN,
    MAX_ATTEMPTS,
    MAY_BE_THERE,
    MOST_SUBMISSIONS,
    Message,
    Waited,
    due_at,
    history_of,
    tried_with,
)
from routing_values import HOUR, NOW, decider, health, prepared, returned, tariff

NAMES = "abcde"
LASTING = [
    "invalid_sender",
    "rejected_by_carrier",
    "blocked_by_carrier",
    "undeliverable",
    "expired",
    "credit_exhausted",
]
PURPOSES = ("marketing", "transactional", "otp")


class Attempts:
    """One message until it ends, its carriers failing as they are told to. Time passes while it waits."""

    def __init__(self, carriers: int, purpose: str, causes: list[str], ups: list[list[bool]]) -> None:
        self.names, self.causes, self.ups = NAMES[:carriers], list(causes), ups
        self.now, self.purpose = NOW, purpose
        self.sent: list[tuple[str, str]] = []  # carrier and how it ended
        self.sent_at: list[int] = []
        self.end: Drop | None = None

    def run(self) -> None:
        message: Message = prepared(purpose=self.purpose, not_after=NOW + HOUR)
        waited: Waited | None = None
        for turn in range(2_000):
            up = self.ups[turn % len(self.ups)] if self.ups else []
            reports = [
                health(name, "up" if place >= len(up) or up[place] else "down", age_ms=NOW - self.now + 1)
                for place, name in enumerate(self.names)
            ]
            prices = tariff({name: {"": 1 + place} for place, name in enumerate(self.names)})
            found = decider(*reports, prices=prices, now=self.now).decide(message, waited)
            if isinstance(found, Drop):
                self.end = found
                return
            if isinstance(found, Defer):
                since = waited.since if waited else self.now
                self.now = due_at(found.until, message, since)
                waited = Waited(since, found.reason)
                continue
            assert isinstance(found, Send)
            history = history_of(message)
            if not self.causes:
                self.sent.append((found.carrier, "delivered"))
                self.sent_at.append(self.now)
                return
            cause = self.causes.pop(0)
            self.sent.append((found.carrier, cause))
            self.sent_at.append(self.now)
            tried = tried_with(history, found.carrier)
            if found.carrier not in tried:
                tried = [*tried, found.carrier]  # what the connector does
            self.now += 10
            message = returned(
                cause, tried, attempt=history.attempt, carrier=found.carrier, purpose=self.purpose, not_after=NOW + HOUR
            )
            waited = None
        raise AssertionError("it went round for ever")


CAUSES = st.sampled_from([*LASTING, *sorted(PASSING), *FORBIDDEN, *MAY_BE_THERE])
ATTEMPTS = st.builds(
    Attempts, st.integers(1, 5), st.sampled_from(PURPOSES), st.lists(CAUSES, max_size=12),
    st.lists(st.lists(st.booleans(), min_size=5, max_size=5), max_size=4),
)  # fmt: skip


@given(ATTEMPTS)
def test_it_always_ends_within_its_time_and_its_attempts(one: Attempts) -> None:
    one.run()
    assert all(at < NOW + HOUR for at in one.sent_at)
    assert sum(cause != "campaign_paused" for _, cause in one.sent) <= MAX_ATTEMPTS
    assert len(one.sent) <= MOST_SUBMISSIONS


@given(ATTEMPTS)
def test_a_carrier_that_said_no_for_good_is_never_asked_again(one: Attempts) -> None:
    one.run()
    for place, (carrier, cause) in enumerate(one.sent):
        if cause not in PASSING:
            assert carrier not in [name for name, _ in one.sent[place + 1 :]]


def test_a_passing_trouble_of_one_carrier_brings_none_back_that_refused_for_good() -> None:
    one = Attempts(2, "transactional", ["invalid_sender", "throttled", "throttled"], [])
    one.run()
    assert [carrier for carrier, _ in one.sent] == ["a", "b", "b"]


@given(st.integers(2, 5), st.sampled_from(PURPOSES), st.lists(st.sampled_from(LASTING), min_size=1, max_size=6))
def test_the_same_route_is_never_tried_twice_for_a_lasting_cause(
    carriers: int, purpose: str, causes: list[str]
) -> None:
    one = Attempts(carriers, purpose, causes, [])
    one.run()
    used = [carrier for carrier, _ in one.sent]
    assert len(set(used)) == len(used)
    assert len(used) == min(len(causes) + 1, carriers, MAX_ATTEMPTS)


@given(st.integers(2, 5), st.lists(st.sampled_from(sorted(PASSING - {"campaign_paused"})), min_size=1, max_size=6))
def test_after_a_passing_trouble_every_other_carrier_comes_first(carriers: int, causes: list[str]) -> None:
    one = Attempts(carriers, "transactional", causes, [])
    one.run()
    used = [carrier for carrier, _ in one.sent]
    first_round = used[:carriers]
    assert len(set(first_round)) == len(first_round)


@pytest.mark.parametrize("cause", sorted(MAY_BE_THERE))
@pytest.mark.parametrize("purpose", ["marketing", "transactional"])
def test_what_a_handset_may_have_is_not_sent_again_where_the_class_forbids_doubles(cause: str, purpose: str) -> None:
    found = decider().decide(returned(cause, ["mercure"], purpose=purpose))
    assert isinstance(found, Drop)
    assert "a receipt may still come" in found.detail


@pytest.mark.parametrize("cause", sorted(MAY_BE_THERE))
def test_a_code_that_may_be_lost_gets_one_further_attempt_and_no_more(cause: str) -> None:
    found = decider().decide(returned(cause, ["mercure"], purpose="otp"))
    assert isinstance(found, Send)
    assert found.carrier == "iris"
    three = decider(*(health(name) for name in "abc"), prices=tariff({name: {"": 1} for name in "abc"}))
    assert isinstance(three.decide(returned(cause, ["a"], purpose="otp")), Send)
    assert isinstance(three.decide(returned(cause, ["a", "b"], purpose="otp")), Drop)

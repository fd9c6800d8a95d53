"""Numbers, numbers at rest, campaign states, daily sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.adapters.at_rest import AtRest
from segmenter.domain.campaign_state import after
from segmenter.domain.event_days import DayKey, summed
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.numbers import judge, prefix_of, written_as_e164
from shared.contracts.events import EventTracked
from shared.crypto.sealing import CannotOpenError


@pytest.mark.parametrize(
    ("number", "country", "problem", "zone"),
    [
        ("+33612345678", "FR", None, "Europe/Paris"),
        ("+447400123456", "GB", None, None),  # also Guernsey's, Jersey's and Man's zones
        ("+4915123456789", "DE", None, "Europe/Berlin"),
        ("+12015550123", "US", None, "America/New_York"),
        ("+33142685300", "FR", "a landline", None),
        ("+33899123456", "FR", "a premium-rate number", None),
        ("+33800123456", "FR", "a toll-free number", None),
        ("+336123", "FR", "not a number that its country assigns", None),
        ("+999123456789", "ZZ", "no country has this number's country code", None),
        ("+870773111632", "ZZ", None, None),  # Inmarsat: a code without a country
    ],
)
def test_a_number_is_judged_by_its_countrys_plan(
    number: str, country: str, problem: str | None, zone: str | None
) -> None:
    facts = judge(number)
    assert (facts.country, facts.problem) == (country, problem)
    if zone is not None:
        assert facts.time_zone == zone


def test_a_trunk_zero_is_not_part_of_the_number() -> None:
    assert judge("+330612345678").number == "+33612345678"


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("+33 6 12-34.56(78)", "+33612345678"), ("0033612345678", "+33612345678"), ("0612345678", None), ("+0612345678", None),
        ("+3361234567890123", None), ("", None), ("call me", None), ("+33６12345678", None),
    ],
)  # fmt: skip
def test_only_international_numbers_are_read(given_: str, expected: str | None) -> None:
    assert written_as_e164(given_) == expected


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_prefix_is_at_most_seven_digits_and_never_reaches_the_last_four(number: str) -> None:
    prefix = prefix_of(number)
    assert number[1:].startswith(prefix)
    assert len(prefix) == min(7, len(number) - 5)
    assert judge(number).number not in repr(judge(number))


def test_a_number_at_rest_opens_only_as_its_own_row_of_its_own_tenant() -> None:
    at_rest = AtRest(b"m" * 32)
    sealed = at_rest.seal("acme", "row-1", "+33612345678")
    assert AtRest(b"m" * 32).open("acme", "row-1", sealed) == "+33612345678"
    assert sealed != at_rest.seal("acme", "row-1", "+33612345678")
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    wrong = [
        ("other", "row-1", sealed),
        ("acme", "row-2", sealed),
        ("acme", "row-1", damaged),
        ("acme", "row-1", b"\x02" + sealed[1:]),
    ]
    for tenant, about, value in wrong:
        with pytest.raises(CannotOpenError) as refused:
            at_rest.open(tenant, about, value)
        assert "336" not in str(refused.value)
    with pytest.raises(CannotOpenError):
        AtRest(b"n" * 32).open("acme", "row-1", sealed)


def test_equal_texts_have_equal_fingerprints_within_a_tenant_only() -> None:
    prints = Fingerprints(b"m" * 32)
    assert prints.of("acme", "hello") == prints.of("acme", "hello")
    assert prints.of("acme", "hello") not in (prints.of("other", "hello"), prints.of("acme", "hello!"))


def test_a_campaign_moves_only_where_its_state_allows() -> None:
    allowed = {
        (verb, state): after(verb, state)  # type: ignore[arg-type]
        for verb in ("edit", "launch", "pause", "resume", "cancel")
        for state in ("draft", "running", "paused", "cancelled", "completed")
    }
    assert {move: state for move, state in allowed.items() if state is not None} == {
        ("edit", "draft"): "draft", ("edit", "completed"): "draft", ("edit", "cancelled"): "draft",
        ("launch", "draft"): "running",
        ("pause", "running"): "paused", ("pause", "paused"): "paused",
        ("resume", "paused"): "running", ("resume", "running"): "running",
        ("cancel", "draft"): "cancelled", ("cancel", "running"): "cancelled", ("cancel", "paused"): "cancelled",
        ("pause", "completed"): "paused",
        ("cancel", "cancelled"): "cancelled", ("cancel", "completed"): "cancelled",
    }  # fmt: skip


def tracked(number: int, at: int, value: int | None = None, currency: str | None = None) -> EventTracked:
    return EventTracked(
        event_id=f"e{number}",
        tenant_id="acme",
        occurred_at=at,
        contact_ref="ann",
        name="purchase",
        value=value,
        currency=currency,
    )


def test_events_add_up_by_day_and_currency() -> None:
    day = 86_400_000
    sums = summed(
        [
            tracked(1, 5, 10, "EUR"),
            tracked(2, day - 1, 20, "EUR"),
            tracked(3, day, 1, "EUR"),
            tracked(4, 7, 3, "USD"),
            tracked(5, 9),
        ]
    )
    assert {(k.day, k.currency): tuple(v) for k, v in sums.items()} == {
        (0, "EUR"): (2, 30, day - 1), (1, "EUR"): (1, 1, day), (0, "USD"): (1, 3, 7), (0, ""): (1, 0, 9),
    }  # fmt: skip
    assert list(sums) == sorted(sums)
    assert next(iter(sums)) == DayKey("acme", "ann", "purchase", "", 0)

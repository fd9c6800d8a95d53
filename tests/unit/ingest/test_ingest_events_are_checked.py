import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.event_request import CheckedEvent, check_event
from ingest.domain.faults import Fault

NOW = 1_750_000_000_000
GOOD = {"contact": "c-1", "name": "purchase"}


def check(event: object) -> CheckedEvent | list[Fault]:
    return check_event(msgspec.json.encode(event), NOW)


WRONG = [
    ({"name": "purchase"}, "contact", "missing"),
    ({**GOOD, "contact": ""}, "contact", "bad_length"),
    ({**GOOD, "contact": "a\x00"}, "contact", "bad_character"),
    ({**GOOD, "name": "two words"}, "name", "bad_name"),
    ({**GOOD, "value": 1}, "currency", "missing"),
    ({**GOOD, "value": "x", "currency": "EUR"}, "value", "not_a_number"),
    ({**GOOD, "value": "NaN", "currency": "EUR"}, "value", "out_of_range"),
    ({**GOOD, "value": "1e12", "currency": "EUR"}, "value", "out_of_range"),
    ({**GOOD, "value": "0.0000001", "currency": "EUR"}, "value", "too_precise"),
    ({**GOOD, "value": 1, "currency": "euro"}, "currency", "not_iso4217"),
    ({**GOOD, "at": "yesterday"}, "at", "not_rfc3339"),
    ({**GOOD, "at": "2030-01-01T00:00:00Z"}, "at", "in_the_future"),
    ({**GOOD, "properties": {"a": "x" * 20_000}}, "properties", "too_large"),
    ({**GOOD, "phone": "x"}, "phone", "unknown_field"),
    ([], "body", "wrong_type"),
]


@pytest.mark.parametrize(("event", "field", "code"), WRONG, ids=[f"{f} {c}" for _, f, c in WRONG])
def test_a_wrong_event_is_refused_and_the_field_named(event: object, field: str, code: str) -> None:
    found = check(event)
    assert isinstance(found, list)
    assert (field, code) in [(fault.field, fault.code) for fault in found]


@pytest.mark.parametrize(
    ("value", "micros"),
    [(12, 12_000_000), (12.5, 12_500_000), ("59.90", 59_900_000), ("-0.000001", -1), ("1.10000000", 1_100_000), (0.1, 100_000)],
)  # fmt: skip
def test_a_value_becomes_millionths_without_loss(value: object, micros: int) -> None:
    found = check({**GOOD, "value": value, "currency": "EUR"})
    assert isinstance(found, CheckedEvent)
    assert found.value == micros


@given(st.integers(min_value=-(10**18) + 1, max_value=10**18 - 1))
def test_every_amount_that_the_topic_can_carry_is_kept_exactly(micros: int) -> None:
    sign, whole, rest = "-" if micros < 0 else "", abs(micros) // 10**6, abs(micros) % 10**6
    found = check({**GOOD, "value": f"{sign}{whole}.{rest:06d}", "currency": "EUR"})
    assert isinstance(found, CheckedEvent)
    assert found.value == micros

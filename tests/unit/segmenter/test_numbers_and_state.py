"""Numbers, numbers at rest, campaign states, daily sums."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from segmenter.adapters.at_rest import QUARTER_MS, AtRest
from segmenter.domain.campaign_state import after
from segmenter.domain.event_days import DayKey, summed
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.numbers import judge, prefix_of, written_as_e164
from segmenter.domain.zone_of_place import cities_of, zone_of
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
        ("acme", "row-1", b"\x03" + sealed[1:]),
        ("acme", "row-1", sealed[:2] + bytes([sealed[2] ^ 1]) + sealed[3:]),
    ]
    for tenant, about, value in wrong:
        with pytest.raises(CannotOpenError) as refused:
            at_rest.open(tenant, about, value)
        assert "336" not in str(refused.value)
    with pytest.raises(CannotOpenError):
        AtRest(b"n" * 32).open("acme", "row-1", sealed)


def test_a_key_seals_for_a_quarter_and_what_older_keys_sealed_still_opens() -> None:
    now = [1_800_000_000_000]
    at_rest = AtRest(b"m" * 32, lambda: now[0])
    old = at_rest.seal("acme", "row-1", "+33612345678")
    assert old.startswith(at_rest.head)
    now[0] += QUARTER_MS
    assert not old.startswith(at_rest.head)
    assert at_rest.open("acme", "row-1", old) == "+33612345678"
    first = (
        b"\x01"
        + b"n" * 12
        + AESGCM(HKDF(SHA256(), 32, None, b"relais segmenter at rest v1\x1facme").derive(b"m" * 32)).encrypt(
            b"n" * 12, b"+33612345678", b"row-1"
        )
    )
    assert at_rest.open("acme", "row-1", first) == "+33612345678"


@pytest.mark.parametrize(
    ("country", "place", "zone"),
    [
        ("GB", None, "Europe/London"), ("US", None, None), ("US", (40.7, -74.0), "America/New_York"), ("US", (34.0, -118.2), "America/Los_Angeles"),
        ("ES", (28.1, -15.4), "Atlantic/Canary"), ("ES", (40.4, -3.7), "Europe/Madrid"), ("ZZ", (1.0, 1.0), None),
        ("US", (47.7, -116.8), None),  # far from every city that is known
        ("US", (41.6, -87.0), None),  # between Chicago's zone and Indiana's
    ],
)  # fmt: skip
def test_a_place_tells_the_zone_where_the_number_does_not(
    country: str, place: tuple[float, float] | None, zone: str | None
) -> None:
    attributes = {"city": "x", "home": {"lat": place[0], "lon": place[1]}} if place else {"city": "x"}
    assert zone_of(country, attributes, CITIES) == zone


CITIES = cities_of(
    "# country\tplace\tzone\nGB\t+513030-0000731\tEurope/London\nUS\t+404251-0740023\tAmerica/New_York\tEastern\n"
    "US\t+415100-0873900\tAmerica/Chicago\nUS\t+411745-0863730\tAmerica/Indiana/Knox\nUS\t+340308-1181434\tAmerica/Los_Angeles\n"
    "ES\t+4024-00341\tEurope/Madrid\nES\t+2806-01524\tAtlantic/Canary\n"
)


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

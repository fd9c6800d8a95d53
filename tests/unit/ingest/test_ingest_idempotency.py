import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.idempotency import (
    HEARTBEAT_S,
    LEASE_MS,
    Refusal,
    Renew,
    Replay,
    Row,
    Run,
    TakeOver,
    decide,
    fingerprint_of,
    parse_idempotency_key,
)

PRINT, OTHER = b"p" * 16, b"o" * 16
ALIVE = frozenset({"me", "you"})
RUNNING = Row(PRINT, born_ms=1_000, expires_ms=90_000, owner="you", answer=None)
DONE = Row(PRINT, 1_000, 90_000, None, b"{}")

CASES = [
    ("it runs in a living process", RUNNING, PRINT, 5_000, Refusal.RUNNING),
    ("its process is dead", Row(PRINT, 1_000, 90_000, "dead", None), PRINT, 5_000, TakeOver(Run(1_000, 90_000))),
    ("it was given back", Row(PRINT, 1_000, 90_000, None, None), PRINT, 5_000, TakeOver(Run(1_000, 90_000))),
    ("it is done", DONE, PRINT, 5_000, Replay(b"{}", 90_000)),
    ("it is done, and its process is dead", Row(PRINT, 1_000, 90_000, "dead", b"{}"), PRINT, 5_000, Replay(b"{}", 90_000)),
    ("another request runs under the key", RUNNING, OTHER, 5_000, Refusal.MISMATCH),
    ("another request was done under the key", DONE, OTHER, 5_000, Refusal.MISMATCH),
    ("another request died under the key", Row(PRINT, 1_000, 90_000, "dead", None), OTHER, 5_000, Refusal.MISMATCH),
    ("its time is over", DONE, PRINT, 90_000, Renew()),
    ("its time is over and the request is another", DONE, OTHER, 90_000, Renew()),
]  # fmt: skip


@pytest.mark.parametrize(("row", "fingerprint", "now", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_follows_from_a_row(row: Row, fingerprint: bytes, now: int, expected: object) -> None:
    assert decide(row, fingerprint, now, ALIVE) == expected


def test_a_dead_process_is_known_within_two_seconds_and_a_living_one_may_miss_a_beat() -> None:
    assert LEASE_MS <= 2_000
    assert HEARTBEAT_S * 1000 * 2 < LEASE_MS


@pytest.mark.parametrize(
    ("written", "key"),
    [("abc-1", "abc-1"), ('"abc 1"', "abc 1"), ("x" * 255, "x" * 255), ("", None), ('""', None), ("x" * 256, None),
     ("a b", None), ("é", None), ('"a', None), ('a"b', None), ("a\\b", None)],
)  # fmt: skip
def test_a_key_is_a_string_bare_or_quoted(written: str, key: str | None) -> None:
    assert parse_idempotency_key(written) == key


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_requests_have_the_same_fingerprint_only_when_they_are_the_same(one: bytes, two: bytes) -> None:
    def of(body: bytes) -> bytes:
        return fingerprint_of(b"k" * 32, "/v1/messages", body)

    assert (of(one) == of(two)) == (one == two)
    assert of(one) != fingerprint_of(b"k" * 32, "/v1/messages/batch", one)
    assert of(one) != fingerprint_of(b"l" * 32, "/v1/messages", one)

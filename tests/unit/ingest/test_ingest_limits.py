import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.limits import Limits
from ingest.domain.api_key import StoredKey
from ingest.domain.token_bucket import LARGEST_COST, TokenBucket, take
from shared.crypto.tokens import Caller
from shared.http.problems import ProblemError


def test_a_full_bucket_gives_its_capacity_and_then_asks_to_wait() -> None:
    bucket = TokenBucket.full(2_000, 0)
    assert take((bucket,), 2_000, 0)[0].wait_s == 0
    assert take((bucket,), 1, 0)[0].wait_s == 1
    assert take((bucket,), 1, 1)[0].wait_s == 0


def test_a_slow_bucket_still_lets_a_full_batch_through_in_time() -> None:
    bucket = TokenBucket.full(10, 0)
    assert take((bucket,), LARGEST_COST, 0)[0].wait_s == 0
    assert take((bucket,), LARGEST_COST, 0)[0].wait_s == 100
    assert take((bucket,), LARGEST_COST, 100_000)[0].wait_s == 0


def test_when_one_bucket_is_empty_the_other_gives_nothing() -> None:
    rich, poor = TokenBucket.full(5_000, 0), TokenBucket.full(1, 0)
    poor.tokens = 0
    assert [t.wait_s for t in take((rich, poor), 10, 0)] == [0, 10]
    assert rich.tokens == 5_000


def test_a_clock_set_back_takes_nothing_away() -> None:
    bucket = TokenBucket.full(1_000, 10_000)
    take((bucket,), 500, 10_000)
    take((bucket,), 0, 5_000)
    assert bucket.tokens == 500


@given(st.integers(1, 5_000), st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, LARGEST_COST)), max_size=60))
def test_no_more_passes_than_the_rate_and_one_full_bucket(per_s: int, asked: list[tuple[int, int]]) -> None:
    bucket, now, passed = TokenBucket.full(per_s, 0), 0, 0
    for pause_ms, cost in asked:
        now += pause_ms
        if take((bucket,), cost, now)[0].wait_s == 0:
            passed += cost
    assert passed <= bucket.capacity + per_s * now / 1000 + 1


@given(st.integers(1, 5_000), st.integers(1, LARGEST_COST))
def test_who_waits_as_told_is_served(per_s: int, cost: int) -> None:
    bucket = TokenBucket.full(per_s, 0)
    bucket.tokens = 0
    wait = take((bucket,), cost, 0)[0].wait_s
    assert take((bucket,), cost, wait * 1000)[0].wait_s == 0


def stored(tenant: str, key: str, **more: int) -> StoredKey:
    return StoredKey(Caller(tenant, frozenset({"*"}), key), b"", None, None, **more)


def test_a_tenant_at_its_limit_does_not_slow_another() -> None:
    limits = Limits(1_000, 5_000)
    limits.take(stored("one", "k1"), 1_000, 0)
    with pytest.raises(ProblemError) as refused:
        limits.take(stored("one", "k2"), 1, 0)
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "1"
    assert "RateLimit" in refused.value.headers
    limits.take(stored("other", "k3"), 1_000, 0)


def test_a_tenants_and_a_keys_own_limits_go_before_the_settings() -> None:
    limits = Limits(1_000, 1_000)
    headers = limits.take(stored("one", "k1", tenant_per_s=3_000, key_per_s=2_000), 1, 0)
    assert headers["RateLimit-Policy"] == '"tenant";q=3000;w=1, "key";q=2000;w=1'
    assert headers["RateLimit"] == '"tenant";r=2999;t=1, "key";r=1999;t=1'

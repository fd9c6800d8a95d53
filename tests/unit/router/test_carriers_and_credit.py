"""What an operator may say of a carrier, and how much may be released."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from router.domain.check_carrier import CarrierTroubleError, check_carrier
from router.domain.credit import AHEAD_S, TENANT_AHEAD_S, Credit, Tenant, granted, lag_of, rate_of, waiting_of
from router.domain.health import HealthPicture
from router.domain.money import micros_of, text_of
from router.settings import Settings
from routing_values import NOW, health, tariff

GOOD: dict[str, Any] = {"tps": 1000, "binds": 1, "currency": "EUR", "prices": {"33": "0.045", "": "0.06"}}


def test_a_good_description_is_taken() -> None:
    terms = check_carrier("mercure-2", GOOD)
    assert terms.prices == {"33": 45_000, "": 60_000}
    assert terms.enabled


@pytest.mark.parametrize(
    ("carrier", "changed", "field"),
    [
        ("Mercure", {}, "id"),
        ("", {}, "id"),
        ("a" * 33, {}, "id"),
        ("mercure", {"tps": 0}, "tps"),
        ("mercure", {"tps": True}, "tps"),
        ("mercure", {"binds": "1"}, "binds"),
        ("mercure", {"currency": "eur"}, "currency"),
        ("mercure", {"enabled": "yes"}, "enabled"),
        ("mercure", {"prices": None}, "prices"),
        ("mercure", {"prices": {"+33": "0.1"}}, "prices.+33"),
        ("mercure", {"prices": {"12345678": "0.1"}}, "prices.12345678"),
        ("mercure", {"prices": {"33": 0.045}}, "prices.33"),
        ("mercure", {"prices": {"33": "-1"}}, "prices.33"),
        ("mercure", {"prices": {"33": "0.0000001"}}, "prices.33"),
        ("mercure", {"prices": {"33": "1e3"}}, "prices.33"),
        ("mercure", {"colour": "red"}, "colour"),
    ],
)
def test_a_bad_description_names_its_field(carrier: str, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(CarrierTroubleError) as caught:
        check_carrier(carrier, GOOD | changed)
    assert [trouble.field for trouble in caught.value.troubles] == [field]


@given(st.integers(0, 10**15))
def test_an_amount_survives_being_written_and_read(micros: int) -> None:
    assert micros_of(text_of(micros)) == micros


def test_the_rate_counts_healthy_carriers_in_use_only() -> None:
    picture = HealthPicture()
    picture.apply([health("a"), health("b", "down"), health("c"), health("d", "degraded")])
    prices = tariff({name: {"": 1} for name in "abcde"}, connectors=set("abde"))
    assert rate_of(prices, picture, NOW) == 2_000


def test_the_credit_is_what_fits_into_fifteen_minutes_and_never_negative() -> None:
    assert Credit(100, 30_000).messages == 60_000
    assert Credit(100, 90_001).messages == 0


def test_a_group_that_never_committed_has_everything_before_it() -> None:
    begin, end = {"p0": 10, "p1": 0}, {"p0": 30, "p1": 5}
    assert lag_of({"p0": -1}, begin, end) == 25  # type: ignore[dict-item]
    assert lag_of({"p0": 25, "p1": 5}, begin, end) == 5  # type: ignore[dict-item]


def test_the_carriers_setting_is_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PORT", "KAFKA_BOOTSTRAP", "REGISTRY_URL", "DATABASE_URL", "INTERNAL_SECRET"):
        monkeypatch.setenv(f"RELAIS_{name}", "1")
    monkeypatch.setenv("RELAIS_MASTER_KEY", base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("RELAIS_CARRIERS", "mercure, iris")
    assert Settings().carriers == ("mercure", "iris")
    for bad in ("", "Mercure", "a,a"):
        monkeypatch.setenv("RELAIS_CARRIERS", bad)
        with pytest.raises(ValidationError):
            Settings()


def test_one_tenant_alone_gets_two_minutes_and_the_next_one_finds_room_at_once() -> None:
    credit = Credit(1_000, 120_000)
    assert granted(Credit(1_000, 0), {"acme": Tenant(wants=10**9)}) == {"acme": 120_000}
    assert granted(credit, {"acme": Tenant(120_000, 5_000), "other": Tenant(wants=300)}) == {"acme": 0, "other": 300}


def test_who_has_less_waiting_for_its_share_comes_first_where_the_room_is_small() -> None:
    tenants = {f"t{n}": Tenant(88_000, 5_000) for n in range(10)}
    tenants["new"] = Tenant(wants=900)
    assert granted(Credit(1_000, 899_000), tenants) == {**dict.fromkeys([f"t{n}" for n in range(10)], 0), "new": 900}


def test_a_small_room_goes_to_those_with_the_least_waiting() -> None:
    tenants = {"much": Tenant(50_000, 50_000), "none": Tenant(0, 50_000)}
    assert granted(Credit(1_000, 890_000), tenants) == {"much": 0, "none": 10_000}
    shared = granted(Credit(1_000, 890_000), {"a": Tenant(0, 50_000), "b": Tenant(0, 50_000, share=3)})
    assert shared["a"] in range(2_499, 2_501)
    assert shared["b"] in range(7_498, 7_501)


def test_a_tenants_own_limit_bounds_what_waits_of_it() -> None:
    assert granted(Credit(1_000, 0), {"acme": Tenant(wants=10**6, pace=2.0)}) == {"acme": 240}


def test_no_healthy_carrier_is_no_credit() -> None:
    assert granted(Credit(0, 0), {"acme": Tenant(wants=1)}) == {"acme": 0}


TENANTS = st.dictionaries(
    st.sampled_from("abcdefghijkl"),
    st.builds(
        Tenant, st.integers(0, 200_000), st.integers(0, 200_000), st.integers(1, 5), st.sampled_from([None, 5.0])
    ),
    min_size=1,
)


@given(st.integers(0, 2_000), st.integers(0, 2_000_000), TENANTS)
def test_what_is_granted_fits_is_wanted_and_lets_nobody_hold_more_than_its_part(
    rate: int, waits: int, tenants: dict[str, Tenant]
) -> None:
    credit = Credit(rate, waits)
    found = granted(credit, tenants)
    shares = sum(t.share for t in tenants.values() if t.wants or t.waits)
    assert sum(found.values()) <= credit.messages
    assert found.keys() == {name for name, t in tenants.items() if t.wants}
    for name, messages in found.items():
        tenant = tenants[name]
        assert 0 <= messages <= tenant.wants
        if messages:
            assert tenant.waits + messages <= rate * TENANT_AHEAD_S
            assert tenant.waits + messages <= rate * AHEAD_S * tenant.share / shares + 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50)), max_size=8), st.integers(0, 300))
def test_those_who_wait_are_the_newest_released(grants: list[tuple[str, int]], waits: int) -> None:
    found = waiting_of(grants, waits)
    every = [tenant for tenant, messages in grants for _ in range(messages)]
    assert found == {t: every[:waits].count(t) for t in "ab" if every[:waits].count(t)}

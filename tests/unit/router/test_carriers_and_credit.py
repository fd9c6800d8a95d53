"""What an operator may say of a carrier, and how much may be released."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from router.domain.check_carrier import CarrierTroubleError, check_carrier
from router.domain.credit import Credit, lag_of, rate_of
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
    monkeypatch.setenv("RELAIS_CARRIERS", "mercure, iris")
    assert Settings().carriers == ("mercure", "iris")
    for bad in ("", "Mercure", "a,a"):
        monkeypatch.setenv("RELAIS_CARRIERS", bad)
        with pytest.raises(ValidationError):
            Settings()

"""The number plan, and carriers' price lists as they send them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.data.seed import seed_ranges
from router.domain.number_plan import NumberPlan, Range, overlaid, read_ranges
from router.domain.price_list import ListPrice, checked_mapping, proposed, read_list, without_price
from router.domain.tariff import ListPrices, Tariff, Terms
from router.domain.trouble import TroublesError
from routing_values import NOW

DAY = 86_400_000


def troubles_of(text: str, mapping: object = None) -> list[tuple[str, str]]:
    with pytest.raises(TroublesError) as caught:
        read_list(text, checked_mapping(mapping, text), "EUR", NOW)
    return [(trouble.field, trouble.code) for trouble in caught.value.troubles]


def test_the_longest_range_gives_the_network_and_a_range_without_one_hides_the_shorter() -> None:
    plan = NumberPlan(
        1, [Range("336", "FR", "20810", ""), Range("33612", "FR", "", ""), Range("336123", "FR", "20801", "")]
    )
    assert plan.network_of("3361234") == "20801"
    assert plan.network_of("3361299") is None
    assert plan.network_of("3369999") == "20810"
    assert plan.network_of("4479999") is None
    assert plan.network_of("") is None


def test_the_ranges_of_the_demo_countries_come_with_the_service() -> None:
    plan = NumberPlan(0, seed_ranges())
    assert {"FR", "DE", "ES", "IT", "BE", "GB"} == set(plan.countries())
    assert plan.networks("FR") == {"20801", "20810", "20815", "20820"}


def test_an_import_replaces_the_countries_that_it_names_and_no_other() -> None:
    seed = [Range("336", "FR", "20801", ""), Range("324", "BE", "20601", "")]
    plan = overlaid(2, seed, read_ranges("prefix,country,mcc,mnc\n337,FR,208,10\n"))
    assert plan.network_of("3361") is None
    assert plan.network_of("3371") == "20810"
    assert plan.network_of("3241") == "20601"


def test_a_wrong_range_is_named_by_its_row() -> None:
    with pytest.raises(TroublesError) as caught:
        read_ranges(
            "# from somewhere\nprefix,country,mcc,mnc\n336,FR,208,01\n336,FR,208,10\n+33,FR,,\n34,es,,\n35,PT,268,1\n"
        )
    fields = [trouble.field for trouble in caught.value.troubles]
    assert fields == ["row 3 prefix", "row 4 prefix", "row 5 country", "row 6 mnc"]


def test_a_mapping_is_proposed_from_the_heading() -> None:
    found = proposed("Country;MCC;MNC;Operator;Rate (EUR);Effective date\nFrance;208;01;Orange;0,045;01/02/2026\n")
    assert found.columns == {"mcc": "MCC", "mnc": "MNC", "price": "Rate (EUR)", "valid_from": "Effective date"}
    assert (found.separator, found.decimal) == (";", ",")


def test_a_list_is_read_through_its_mapping() -> None:
    text = "MCC;MNC;Rate;From\n208;01;0,045;01/02/2027\n208;;0,05;\n"
    mapping = {"columns": {"mcc": "MCC", "mnc": "MNC", "price": "Rate", "valid_from": "From"}, "date": "%d/%m/%Y"}
    found = read_list(text, checked_mapping(mapping, text), "EUR", NOW)
    assert found.prices == [
        ListPrice("network", "20801", 45_000, 1_801_440_000_000, None),
        ListPrice("network", "208", 50_000, NOW, None),
    ]
    assert (found.starts, found.rows) == (NOW, 2)


def test_dates_of_one_network_follow_one_another() -> None:
    text = "mccmnc,price,valid_from\n20801,0.05,2027-02-01\n20801,0.04,2027-01-01\n"
    first, second = read_list(text, proposed(text), "EUR", NOW).prices
    assert (first.price, second.price) == (40_000, 50_000)
    assert first.valid_until == second.valid_from
    assert second.valid_until is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mccmnc,price\n20801,0.05\n20801,0.06\n", [("row 3", "twice")]),
        ("mccmnc,price\nFrance,0.05\n", [("row 2 network", "invalid")]),
        ("mccmnc,price\n20801,free\n208,-1\n", [("row 2 price", "invalid"), ("row 3 price", "invalid")]),
        ("mccmnc,price,currency\n20801,0.05,USD\n", [("row 2 currency", "other_currency")]),
        ("mccmnc,price,valid_from\n20801,0.05,soon\n", [("row 2 valid_from", "invalid")]),
        ("mccmnc,price,valid_from,valid_until\n20801,0.05,2027-02-01,2027-01-01\n", [("row 2 valid_until", "invalid")]),
        (
            "mccmnc,price,valid_from,valid_until\n20801,0.05,2027-01-01,2027-02-01\n20801,0.05,2027-03-01,\n",
            [("row 3", "gap")],
        ),
        (
            "mccmnc,price,valid_from,valid_until\n20801,0.05,2027-01-01,2027-03-01\n20801,0.05,2027-02-01,\n",
            [("row 3", "overlap")],
        ),
        ("mccmnc,price\n", [("csv", "empty")]),
        ("name,colour\nx,red\n", [("mapping.columns.price", "missing"), ("mapping.columns.network", "missing")]),
        ("prefix,price\n123456789,0.1\n", [("row 2 prefix", "invalid")]),
    ],
)
def test_a_bad_list_is_refused_with_its_rows(text: str, found: list[tuple[str, str]]) -> None:
    assert troubles_of(text) == found


def test_a_mapping_that_names_a_column_which_is_not_there_is_refused() -> None:
    text = "mccmnc,price\n20801,0.05\n"
    assert ("mapping.columns.price", "missing_column") in troubles_of(
        text, {"columns": {"network": "mccmnc", "price": "Rate"}}
    )


def test_a_price_for_the_network_goes_before_the_country_and_that_before_the_prefix() -> None:
    terms = {"a": Terms("a", 1, 1, "EUR", {"33": 3, "": 4})}
    tariff = Tariff(1, terms, frozenset("a"), {"a": ListPrices({"20801": 1, "208": 2}, {"336": 5})})
    told = [
        tariff.offer("a", *asked)
        for asked in (("336", "20801"), ("336", "20815"), ("336", None), ("337", None), ("4", None))
    ]
    assert [(offer.matched, offer.price) for offer in told if offer] == [
        ("mccmnc:20801", 1), ("mcc:208", 2), ("336", 5), ("33", 3), ("", 4),
    ]  # fmt: skip


LISTS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from(["20801", "20810", "208"]), st.integers(0, 9)), max_size=3
)


@given(st.lists(LISTS, min_size=2, max_size=4), st.lists(st.sampled_from(["20801", "20810", "99999"]), max_size=4))
def test_a_tariff_that_follows_another_says_what_one_made_anew_says(steps: list[Any], asked: list[str]) -> None:
    terms = {name: Terms(name, 1, 1, "EUR", {"33": 5} if name == "c" else {}) for name in "abc"}
    known = Tariff(0, {}, frozenset("abc"))
    lists: dict[str, ListPrices] = {}
    for version, step in enumerate(steps):
        lists = {**lists, **{name: ListPrices(networks, {}) for name, networks in step.items()}}
        known = known.followed_by(version, terms, lists)
        for network in asked:
            assert known.offers("3361", network) == Tariff(version, terms, frozenset("abc"), lists).offers(
                "3361", network
            )


def test_networks_that_a_list_leaves_out_are_named() -> None:
    plan = NumberPlan(
        1,
        [Range(p, "FR", n, "") for p, n in (("336", "20801"), ("337", "20810"))]
        + [Range("324", "BE", "20601", ""), Range("49", "DE", "26201", "")],
    )

    def read(text: str) -> list[str]:
        return without_price(read_list(text, proposed(text), "EUR", NOW).prices, plan)

    assert read("mccmnc,price\n20801,0.03\n20601,0.03\n") == ["20810"]
    assert read("mccmnc,price\n20801,0.03\n208,0.04\n") == []

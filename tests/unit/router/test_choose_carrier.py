"""Least cost among the healthy, with a fallback."""

from hypothesis import given
from hypothesis import strategies as st
from router.domain.choose_carrier import CarrierChoice, Defer, Drop, Nobody, Send
from router.domain.health import HealthPicture, Standing
from router.domain.routes import Ask
from router.domain.tariff import Tariff, prefix_of
from routing_values import NOW, TWO, decider, health, prepared, tariff


def choice(*reports: object, prices: Tariff | None = None) -> CarrierChoice:
    picture = HealthPicture()
    picture.apply(reports)  # type: ignore[arg-type]
    return CarrierChoice(prices or tariff(TWO), picture, NOW)


def test_the_cheapest_healthy_carrier_wins_and_the_decision_names_all() -> None:
    found = choice(health("mercure"), health("iris")).choose(Ask("3361234"))
    assert found == Send("mercure", 45_000, "EUR", "least_cost mercure=0.045 iris=0.050 prices=7")


def test_the_longest_prefix_gives_the_price() -> None:
    found = choice(health("mercure"), health("iris")).choose(Ask("4915112"))
    assert found == Send("iris", 50_000, "EUR", "least_cost iris=0.050 mercure=0.060 prices=7")


def test_a_carrier_that_is_down_loses_to_a_dearer_one() -> None:
    found = choice(health("mercure", "down"), health("iris")).choose(Ask("3361234"))
    assert found == Send("iris", 50_000, "EUR", "least_cost mercure=0.045(down) iris=0.050 prices=7")


def test_a_degraded_carrier_comes_after_one_that_is_up() -> None:
    found = choice(health("mercure", "degraded"), health("iris")).choose(Ask("3361234"))
    assert isinstance(found, Send)
    assert found.carrier == "iris"
    alone = choice(health("mercure", "degraded"), health("iris", "down")).choose(Ask("3361234"))
    assert isinstance(alone, Send)
    assert alone.carrier == "mercure"


def test_a_report_of_ten_seconds_ago_counts_as_no_report() -> None:
    picture = HealthPicture()
    picture.apply([health("mercure", age_ms=9_999), health("iris", age_ms=10_000)])
    assert picture.standing("mercure", NOW) is Standing.UP
    assert picture.standing("iris", NOW) is Standing.SILENT
    assert picture.standing("pluton", NOW) is Standing.UNKNOWN


def test_an_older_report_does_not_replace_a_newer_one() -> None:
    picture = HealthPicture()
    picture.apply([health("mercure", "down", age_ms=100), health("mercure", "up", age_ms=2_000)])
    assert picture.standing("mercure", NOW) is Standing.DOWN


def test_equal_prices_go_to_the_one_with_more_rate_to_spare() -> None:
    same = tariff({"mercure": {"": 50_000}, "iris": {"": 50_000}})
    found = choice(health("mercure", rate=900), health("iris", rate=10), prices=same).choose(Ask("33"))
    assert isinstance(found, Send)
    assert found.carrier == "iris"


def test_a_carrier_tried_before_is_passed_over() -> None:
    found = choice(health("mercure"), health("iris")).choose(Ask("3361234"), ("mercure",))
    assert found == Send("iris", 50_000, "EUR", "least_cost mercure=0.045(tried) iris=0.050 prices=7")


def test_a_carrier_without_connector_or_disabled_is_never_chosen() -> None:
    prices = tariff(
        {"mercure": {"": 10_000}, "iris": {"": 20_000}, "pluton": {"": 30_000}},
        connectors={"iris", "pluton"},
        disabled=frozenset({"iris"}),
    )
    found = choice(health("mercure"), health("iris"), health("pluton"), prices=prices).choose(Ask("33"))
    expected = "least_cost mercure=0.010(no_connector) iris=0.020(disabled) pluton=0.030 prices=7"
    assert found == Send("pluton", 30_000, "EUR", expected)


def test_without_any_price_there_is_no_route() -> None:
    only_france = tariff({"mercure": {"33": 45_000}})
    assert choice(health("mercure"), prices=only_france).choose(Ask("4915112")) == Nobody(
        "no_price", "least_cost prices=7"
    )
    found = decider(health("mercure"), prices=only_france).decide(prepared(prefix="4915112"))
    assert isinstance(found, Drop)
    assert found.reason == "no_route"


def test_all_down_waits_two_seconds_and_a_one_time_code_half_a_second() -> None:
    down = decider(health("mercure", "down"), health("iris", age_ms=60_000))
    assert down.decide(prepared(purpose="marketing")) == Defer(NOW + 2_000, "no_healthy_carrier")
    assert down.decide(prepared(purpose="otp")) == Defer(NOW + 500, "no_healthy_carrier")


def test_the_winner_stands_first_in_the_explanation_and_each_loser_has_its_reason() -> None:
    prices = tariff(
        {"a": {"": 3}, "b": {"": 2}, "c": {"": 1}, "d": {"": 1}, "e": {"": 0}}, connectors={"a", "b", "c", "d"}
    )
    reports = (health("a"), health("b"), health("c", "down"), health("d", "degraded"), health("e"))
    found = [(c.offer.carrier, c.verdict) for c in choice(*reports, prices=prices).candidates(Ask("33"))]
    assert found == [("b", "won"), ("a", "dearer"), ("d", "degraded"), ("c", "down"), ("e", "no_connector")]


def test_the_prefix_of_a_number_never_holds_its_last_four_digits() -> None:
    assert prefix_of("+33612345678") == "3361234"
    assert prefix_of("+2901234") == "290"
    assert prefix_of("+1234") == ""


PRICES = st.dictionaries(st.sampled_from(["", "3", "33", "336", "49"]), st.integers(0, 10**6), max_size=5)
STATES = st.sampled_from(["up", "degraded", "down", "old"])


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.tuples(PRICES, STATES), max_size=4),
    st.sampled_from(["3361234", "4915112", "1202555", ""]),
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3),
)
def test_nobody_better_than_the_winner_was_free(
    carriers: dict[str, tuple[dict[str, int], str]], prefix: str, tried: list[str]
) -> None:
    prices = tariff({name: found for name, (found, _) in carriers.items()})
    reports = [
        health(name, "up" if s == "old" else s, age_ms=10**6 if s == "old" else 1) for name, (_, s) in carriers.items()
    ]
    won = choice(*reports, prices=prices).choose(Ask(prefix), tuple(tried))

    def price(name: str) -> int | None:
        fitting = [begin for begin in carriers[name][0] if prefix.startswith(begin)]
        return carriers[name][0][max(fitting, key=len)] if fitting else None

    free = [
        (carriers[name][1] != "up", price(name), name)
        for name in carriers
        if price(name) is not None and carriers[name][1] in ("up", "degraded") and name not in tried
    ]
    if free:
        assert isinstance(won, Send)
        assert (carriers[won.carrier][1] != "up", won.price) == min(free)[:2]
        assert won.carrier not in tried
    else:
        assert isinstance(won, Nobody)
        assert (won.reason == "no_price") == all(price(name) is None for name in carriers)

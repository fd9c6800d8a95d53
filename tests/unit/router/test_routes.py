"""Rules, groups, steps: what they allow, and which books may go live."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.domain.campaigns import Campaigns
from router.domain.check_routes import check_routes
from router.domain.choose_carrier import FIRST, CarrierChoice, Draws, Nobody, Send
from router.domain.decide import Decider
from router.domain.health import HealthPicture
from router.domain.number_plan import NumberPlan, Range
from router.domain.opt_outs import OptOuts
from router.domain.quality import Verdict
from router.domain.routes import Ask, RoutePlan, compile_routes
from router.domain.tariff import Tariff
from router.domain.trouble import TroublesError
from routing_values import NOW, health, prepared, tariff
from test_quality import quality

PRICES = {"a": {"": 10_000}, "b": {"": 20_000}, "c": {"": 30_000}, "d": {"33": 5_000}, "bare": {}}
PLAN = NumberPlan(1, [Range("336", "FR", "20801", ""), Range("4915", "DE", "26201", "")])
FR = Ask("3361234", "marketing", "acme", "FR", "20801", None, "spring")


def book(groups: dict[str, Any], rules: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"groups": groups, "rules": rules, **more}


def rule(name: str, group: str, priority: int = 10, **more: Any) -> dict[str, Any]:
    return {"id": name, "priority": priority, "group": group, **more}


def one(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return book({"g": {"steps": list(steps), **more}}, [rule("r", "g")])


def plan(body: dict[str, Any], prices: Tariff | None = None) -> RoutePlan:
    return compile_routes(3, check_routes(body, prices or tariff(PRICES), PLAN))


def choose(
    body: dict[str, Any], ask: Ask = FR, *, states: dict[str, str] | None = None, qualities: Any = (), draws: Draws = FIRST,
    prices: Tariff | None = None, tried: tuple[str, ...] = (), now: int = NOW,
) -> Send | Nobody:  # fmt: skip
    picture = HealthPicture()
    picture.apply([health(name, (states or {}).get(name, "up"), age_ms=NOW - now) for name in PRICES])
    picture.apply_quality(qualities)
    known = prices or tariff(PRICES)
    return CarrierChoice(known, picture, now, plan(body, known)).choose(ask, tried, draws=draws)


def troubles_of(body: object, prices: Tariff | None = None) -> list[tuple[str, str]]:
    with pytest.raises(TroublesError) as caught:
        check_routes(body, prices or tariff(PRICES, connectors={"a", "b", "d", "bare"}), PLAN)
    return [(trouble.field, trouble.code) for trouble in caught.value.troubles]


CHEAPEST = {"pick": "cheapest", "carriers": ["a", "b"]}


def test_a_rule_narrows_the_choice_and_the_decision_names_it() -> None:
    found = choose(one({"pick": "cheapest", "carriers": ["b", "c"]}))
    assert found == Send("b", 20_000, "EUR", "rule=r group=g cheapest b=0.020 c=0.030 prices=7 routes=3", "20801")


def test_the_rule_of_the_smallest_priority_that_fits_decides() -> None:
    groups = {name: {"steps": [{"pick": "order", "carriers": [name]}]} for name in "abc"}
    rules = [
        rule("all", "a", 30),
        rule("germany", "b", 20, when={"country": ["DE"]}),
        rule("codes", "c", 10, when={"class": ["otp"], "tenant": ["acme"]}),
    ]
    asks = [
        FR,
        FR._replace(country="DE"),
        FR._replace(country="DE", purpose="otp"),
        FR._replace(purpose="otp", tenant="other"),
    ]
    assert [choose(book(groups, rules), ask).carrier for ask in asks] == ["a", "b", "c", "a"]  # type: ignore[union-attr]


def test_a_rule_holds_in_its_time_only() -> None:
    groups = {"g": {"steps": [{"pick": "order", "carriers": ["c"]}]}}
    body = book(groups, [rule("x", "g", **{"from": "2027-01-15T08:00:00Z", "until": "2027-01-15T09:00:00Z"})])
    begins = 1_800_000_000_000
    told = [choose(body, now=begins + ms).carrier for ms in (-1, 0, 3_599_999, 3_600_000)]  # type: ignore[union-attr]
    assert told == ["d", "c", "c", "d"]


def test_where_no_rule_fits_the_book_says_what_happens() -> None:
    groups = {"g": {"steps": [CHEAPEST]}}
    rules = [rule("r", "g", when={"country": ["DE"]})]
    assert choose(book(groups, rules)).carrier == "d"  # type: ignore[union-attr]
    assert choose(book(groups, rules, otherwise="g")).carrier == "a"  # type: ignore[union-attr]
    refused = choose(book(groups, rules, otherwise="refuse"))
    assert isinstance(refused, Nobody)
    assert refused.reason == "no_rule"


def test_steps_are_tried_in_order_and_groups_may_be_steps() -> None:
    body = book(
        {"g": {"steps": [CHEAPEST, {"group": "last"}]}, "last": {"steps": [{"pick": "order", "carriers": ["c"]}]}},
        [rule("r", "g")],
    )
    assert choose(body).carrier == "a"  # type: ignore[union-attr]
    assert choose(body, states={"a": "down"}).carrier == "b"  # type: ignore[union-attr]
    assert choose(body, tried=("a", "b")).carrier == "c"  # type: ignore[union-attr]
    assert choose(body, states={"a": "degraded", "b": "degraded"}).carrier == "c"  # type: ignore[union-attr]


def test_the_cheapest_that_delivers_enough_and_else_the_next_step() -> None:
    body = one({"pick": "cheapest", "carriers": ["a", "b"], "floor": 0.92}, {"pick": "order", "carriers": ["c"]})
    good, bad = (990, 10), (700, 300)
    told = [
        choose(body, qualities=[quality(*x, carrier="a"), quality(*y, carrier="b")]).carrier  # type: ignore[union-attr]
        for x, y in ((good, good), (bad, good), (bad, bad))
    ]
    assert told == ["a", "b", "c"]


def test_a_carrier_of_which_little_is_known_comes_after_a_proven_one_and_before_the_next_step() -> None:
    body = one({"pick": "cheapest", "carriers": ["a", "b"], "floor": 0.92}, {"pick": "order", "carriers": ["c"]})
    assert choose(body, qualities=[quality(990, 10, carrier="b")]).carrier == "b"  # type: ignore[union-attr]
    assert choose(body, qualities=[quality(700, 300, carrier="b")]).carrier == "a"  # type: ignore[union-attr]


def test_weights_deal_contacts_out_and_a_contact_stays_with_its_carrier() -> None:
    body = one({"pick": "weighted", "carriers": {"a": 70, "b": 30}})
    told = [choose(body, draws=Draws(contact, 999)).carrier for contact in range(1000)]  # type: ignore[union-attr]
    assert told.count("a") == 700
    assert choose(body, draws=Draws(900, 1), states={"b": "down"}).carrier == "a"  # type: ignore[union-attr]


def test_exploration_takes_its_share_and_no_one_time_code() -> None:
    body = one({"pick": "cheapest", "carriers": ["a", "b"]}, explore=0.05)
    told = [choose(body, draws=Draws(7, message)) for message in range(1000)]
    explored = [found for found in told if isinstance(found, Send) and found.carrier == "b"]
    assert len(explored) == 50
    assert all(found.decision.endswith("explored") for found in explored)
    code = FR._replace(purpose="otp")
    assert all(choose(body, code, draws=Draws(7, message)).carrier == "a" for message in range(1000))  # type: ignore[union-attr]


def test_the_best_is_the_one_that_surely_delivers_most() -> None:
    body = one({"pick": "best", "carriers": ["a", "b", "c"]})
    found = choose(
        body, qualities=[quality(10, 0, carrier="a"), quality(960, 40, carrier="b"), quality(900, 100, carrier="c")]
    )
    assert isinstance(found, Send)
    assert found.carrier == "b"


def test_a_price_above_the_most_is_passed_over() -> None:
    body = one({"pick": "order", "carriers": ["c", "b"], "max_price": "0.025"})
    found = choose(body)
    assert isinstance(found, Send)
    assert found.carrier == "b"
    assert "c=0.030(too_dear)" in found.decision


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ([], [("body", "invalid")]),
        (one({"pick": "dearest", "carriers": ["a"]}), [("groups.g.steps[0].pick", "invalid")]),
        (one({"pick": "order"}), [("groups.g.steps[0].carriers", "invalid")]),
        (one({"pick": "order", "carriers": ["a", "a"]}), [("groups.g.steps[0].carriers", "twice")]),
        (one({"pick": "order", "carriers": ["x"]}), [("groups.g.steps[0].carriers", "unknown_carrier")]),
        (one({"pick": "order", "carriers": ["c"]}), [("groups.g.steps[0].carriers", "no_connector")]),
        (one({"pick": "weighted", "carriers": {"a": 0}}), [("groups.g.steps[0].carriers", "invalid")]),
        (one({**CHEAPEST, "floor": 92}), [("groups.g.steps[0].floor", "invalid")]),
        (one(CHEAPEST, explore=0.5), [("groups.g.explore", "invalid")]),
        (one({"group": "x"}), [("groups.g.steps[0].group", "unknown_group")]),
        (book({}, [rule("r", "g")]), [("rules[0].group", "unknown_group")]),
        (book({}, [rule("r", "least_cost", when={"country": ["fr"]})]), [("rules[0].when.country", "invalid")]),
        (book({}, [rule("r", "least_cost", when={"colour": ["red"]})]), [("rules[0].when.colour", "unknown")]),
        (book({}, [rule("r", "least_cost", until="tomorrow")]), [("rules[0].until", "invalid")]),
        (book({}, [rule("r", "least_cost"), rule("r", "least_cost", when={"class": ["otp"]})]),
         [("rules[1].id", "twice"), ("rules[1]", "overlap")]),
        (book({}, [rule("x", "least_cost"), rule("y", "least_cost", 20, when={"class": ["otp"]})]), [("rules[1]", "unreachable")]),
        (book({"g": {"steps": [{"group": "h"}]}, "h": {"steps": [{"group": "g"}]}}, []), [("groups.g", "loop")]),
        (book({"g": {"steps": [{"pick": "order", "carriers": ["d"]}]}}, [rule("r", "g", when={"country": ["DE"]})]),
         [("rules[0]", "no_price")]),
        (book({"g": {"steps": [{"pick": "order", "carriers": ["a", "bare"]}]}}, []), [("groups.g.steps[0].carriers", "no_price")]),
    ],
)  # fmt: skip
def test_a_bad_book_is_refused_with_its_row(body: object, found: list[tuple[str, str]]) -> None:
    assert troubles_of(body) == found


def test_rules_that_never_meet_in_time_do_not_overlap() -> None:
    early = rule("early", "least_cost", until="2027-01-01T00:00:00Z")
    late = rule("late", "least_cost", **{"from": "2027-01-01T00:00:00Z"})
    check_routes(book({}, [early, late]), tariff(PRICES), PLAN)


def test_a_refused_message_is_dropped_as_no_route() -> None:
    picture = HealthPicture()
    picture.apply([health(name) for name in PRICES])
    routes = plan(book({}, [], otherwise="refuse"))
    found = Decider(NOW, CarrierChoice(tariff(PRICES), picture, NOW, routes), Campaigns(), OptOuts(), PLAN).decide(
        prepared()
    )
    assert getattr(found, "reason", "") == "no_route"


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.one_of(
        st.builds(
            lambda names, floor: {"pick": "cheapest", "carriers": names, **({"floor": floor} if floor else {})},
            st.lists(NAMES, min_size=1, unique=True), st.sampled_from([None, 0.9]),
        ),
        st.builds(lambda names: {"pick": "order", "carriers": names}, st.lists(NAMES, min_size=1, unique=True)),
        st.builds(lambda weights: {"pick": "weighted", "carriers": weights}, st.dictionaries(NAMES, st.integers(1, 9), min_size=1)),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip
STATES = st.dictionaries(NAMES, st.sampled_from(["up", "down", "degraded"]))
OUTCOMES = st.dictionaries(NAMES, st.tuples(st.integers(0, 500), st.integers(0, 500)))
DRAWS = st.builds(Draws, st.integers(0, 999), st.integers(0, 999))
AMOUNTS = st.fixed_dictionaries({name: st.integers(0, 50) for name in "abcd"})


@given(STEPS, STATES, OUTCOMES, DRAWS, AMOUNTS, st.lists(NAMES, max_size=2, unique=True), st.sampled_from([0, 0.2]))
def test_a_choice_is_never_forbidden_by_its_rule(
    steps: Any, states: Any, outcomes: Any, draws: Draws, amounts: dict[str, int], tried: list[str], explore: float
) -> None:
    prices = tariff({name: {"": amount} for name, amount in amounts.items()})
    qualities = [quality(*found, carrier=name) for name, found in outcomes.items()]
    found = choose(
        one(*steps, explore=explore), states=states, qualities=qualities, draws=draws, prices=prices, tried=tuple(tried)
    )
    named = {name for step in steps for name in step["carriers"]}
    if isinstance(found, Nobody):
        return
    assert found.carrier in named - set(tried)
    assert states.get(found.carrier, "up") != "down"
    picture = HealthPicture()
    picture.apply_quality(qualities)
    interval = picture.measured.interval(found.carrier, "FR", NOW)
    homes = [step for step in steps if found.carrier in step["carriers"]]
    assert any("floor" not in step or interval.against(step["floor"]) is not Verdict.BELOW for step in homes)


@given(STATES, OUTCOMES, AMOUNTS)
def test_the_cheapest_that_surely_meets_the_floor_wins(states: Any, outcomes: Any, amounts: dict[str, int]) -> None:
    prices = tariff({name: {"": amount} for name, amount in amounts.items()})
    qualities = [quality(*found, carrier=name) for name, found in outcomes.items()]
    found = choose(one({"pick": "cheapest", "floor": 0.9}), states=states, qualities=qualities, prices=prices)
    picture = HealthPicture()
    picture.apply_quality(qualities)
    fit = [
        amounts[name]
        for name in amounts
        if states.get(name, "up") == "up" and picture.measured.interval(name, "FR", NOW).against(0.9) is Verdict.PROVEN
    ]
    if fit:
        assert isinstance(found, Send)
        assert found.price == min(fit)


@given(STATES, AMOUNTS, st.integers(1, 20))
def test_a_winner_that_gets_cheaper_still_wins(states: Any, amounts: dict[str, int], less: int) -> None:
    body = one({"pick": "cheapest"})
    before = choose(body, states=states, prices=tariff({name: {"": amount} for name, amount in amounts.items()}))
    if isinstance(before, Nobody):
        return
    amounts[before.carrier] = max(0, amounts[before.carrier] - less)
    after = choose(body, states=states, prices=tariff({name: {"": amount} for name, amount in amounts.items()}))
    assert isinstance(after, Send)
    assert after.carrier == before.carrier


def test_a_rule_may_look_at_the_encoding_and_the_parts() -> None:
    body = book(
        {"g": {"steps": [{"pick": "order", "carriers": ["c"]}]}},
        [rule("long-unicode", "g", when={"encoding": ["ucs2"], "parts": ["2", "3"]})],
    )
    for encoding, parts, carrier in (("ucs2", "2", "c"), ("ucs2", "1", "a"), ("gsm7", "3", "a")):
        found = choose(body, FR._replace(encoding=encoding, parts=parts, prefix="4915"))
        assert isinstance(found, Send)
        assert found.carrier == carrier
    assert troubles_of(book({}, [rule("r", "least_cost", when={"encoding": ["ebcdic"]})])) == [
        ("rules[0].when.encoding", "invalid")
    ]


def test_a_step_may_demand_receipts_in_time_of_those_whose_delay_is_known() -> None:
    body = one({"pick": "cheapest", "carriers": ["a", "b"], "max_delay_s": 20})
    slow = [quality(100, 0, hour_delivered=100, delay_p95_ms=25_000.0)]
    found = choose(body, qualities=slow)
    assert isinstance(found, Send)
    assert found.carrier == "b"
    assert "a=0.010(too_slow)" in found.decision
    few = [quality(9, 0, hour_delivered=9, delay_p95_ms=25_000.0)]
    found = choose(body, qualities=few)
    assert isinstance(found, Send)
    assert found.carrier == "a"
    assert troubles_of(one({"pick": "cheapest", "carriers": ["a"], "max_delay_s": 0})) == [
        ("groups.g.steps[0].max_delay_s", "invalid")
    ]

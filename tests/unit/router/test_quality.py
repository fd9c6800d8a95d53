"""How sure we are of a carrier's delivery."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from router.domain.choose_carrier import CarrierChoice, Send
from router.domain.health import COMEBACK_MS, HealthPicture
from router.domain.quality import HALF_LIFE_MS, QualityPicture, Verdict, wilson
from router.domain.routes import NO_ROUTES, Ask, RoutePlan, compile_routes
from routing_values import NOW, health, tariff
from shared.contracts.events import CarrierQuality


def quality(delivered: int, failed: int, at: int = NOW, carrier: str = "a", **more: Any) -> CarrierQuality:
    return CarrierQuality(
        event_id="q", tenant_id="system", occurred_at=at, carrier=carrier, country="FR", window_s=60,
        submitted=delivered + failed, delivered=delivered, failed=failed, delivery_rate=0.0, delay_ms=0.0, **more,
    )  # fmt: skip


def picture(*events: CarrierQuality) -> QualityPicture:
    found = QualityPicture()
    found.apply(events)
    return found


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_the_interval_holds_the_rate_and_stays_between_0_and_1(delivered: int, ended: int) -> None:
    delivered = min(delivered, ended)
    found = wilson(delivered, ended)
    assert 0 <= found.low <= delivered / ended + 1e-9
    assert delivered / ended - 1e-9 <= found.high <= 1


@given(st.integers(1, 99), st.integers(1, 50))
def test_more_of_the_same_makes_the_interval_narrower(percent: int, times: int) -> None:
    few, many = wilson(percent, 100), wilson(percent * (times + 1), 100 * (times + 1))
    assert many.high - many.low < few.high - few.low


def test_little_data_decides_nothing() -> None:
    assert wilson(0, 20).against(0.9) is Verdict.UNPROVEN
    assert wilson(20, 20).against(0.9) is Verdict.UNPROVEN


def test_much_data_proves_or_refutes() -> None:
    assert wilson(980, 1000).against(0.92) is Verdict.PROVEN
    assert wilson(700, 1000).against(0.92) is Verdict.BELOW
    assert wilson(925, 1000).against(0.92) is Verdict.UNPROVEN


def test_windows_that_hop_are_counted_once() -> None:
    sixty = picture(*(quality(600, 0, NOW + i * 10_000) for i in range(7)))
    assert 1_150 < sixty.interval("a", "FR", NOW + 60_000).ended <= 1_200


def test_the_same_report_again_counts_nothing() -> None:
    assert picture(quality(600, 0), quality(600, 0)).interval("a", "FR", NOW).ended == 600


def test_old_news_fades_until_it_decides_nothing() -> None:
    found = picture(quality(10, 190))
    assert found.interval("a", "FR", NOW).against(0.9) is Verdict.BELOW
    assert found.interval("a", "FR", NOW + HALF_LIFE_MS).ended == 100
    assert found.interval("a", "FR", NOW + 5 * HALF_LIFE_MS).against(0.9) is Verdict.UNPROVEN


def test_a_carrier_that_was_down_comes_back_bit_by_bit() -> None:
    found = HealthPicture()
    found.apply([health("a", "down", age_ms=1_000), health("a", "up", age_ms=0)])
    shares = [found.share("a", NOW + ms) for ms in (0, COMEBACK_MS // 2, COMEBACK_MS)]
    assert shares == [0.1, 0.55, 1.0]


def test_a_carrier_that_was_never_down_gets_all_of_it() -> None:
    found = HealthPicture()
    found.apply([health("a", "up", age_ms=1_000), health("a", "degraded", age_ms=500), health("a", "up", age_ms=0)])
    assert found.share("a", NOW) == 1.0


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_more_suspicion_the_less_is_believed(one: float, other: float) -> None:
    less, more = (picture(quality(990, 10, suspicion=s)).interval("a", "FR", NOW) for s in sorted((one, other)))
    assert more.low <= less.low
    assert more.high <= less.high


def test_receipts_that_look_made_up_prove_no_floor() -> None:
    assert picture(quality(990, 10, suspicion=0.2)).interval("a", "FR", NOW).against(0.92) is Verdict.PROVEN
    assert picture(quality(990, 10, suspicion=0.8)).interval("a", "FR", NOW).against(0.92) is Verdict.BELOW


def test_suspicion_fades_as_receipts_do() -> None:
    found = picture(quality(990, 10, suspicion=0.8))
    assert found.suspect("a", "FR", NOW)
    assert not found.suspect("a", "FR", NOW + HALF_LIFE_MS)


def choice(*events: CarrierQuality, routes: RoutePlan = NO_ROUTES) -> CarrierChoice:
    found = HealthPicture()
    found.apply([health("a"), health("b")])
    found.apply_quality(events)
    return CarrierChoice(tariff({"a": {"": 10}, "b": {"": 20}}), found, NOW, routes)


def test_the_cheapest_stands_back_while_its_receipts_look_made_up_and_goes_when_it_is_alone() -> None:
    here = choice(quality(990, 10, suspicion=0.9))
    found = here.choose(Ask("33612", country="FR"))
    assert isinstance(found, Send)
    assert found.carrier == "b"
    assert "a=0.00001(suspect)" in found.decision
    assert [c.verdict for c in here.candidates(Ask("33612", country="FR"))] == ["won", "suspect"]
    elsewhere = here.choose(Ask("49151", country="DE"))
    assert isinstance(elsewhere, Send)
    assert elsewhere.carrier == "a"
    alone = here.choose(Ask("33612", country="FR"), ("b",))
    assert isinstance(alone, Send)
    assert alone.carrier == "a"


def test_a_step_may_pick_who_is_clicked_most_for_what_it_delivers() -> None:
    book = {
        "groups": {"g": {"steps": [{"pick": "clicks", "carriers": ["a", "b"]}]}},
        "rules": [{"id": "r", "priority": 1, "group": "g"}],
    }
    routes = compile_routes(1, book)
    events = [
        quality(990, 10, hour_delivered=1_000, clicked=20),
        quality(990, 10, carrier="b", hour_delivered=1_000, clicked=90),
    ]
    found = choice(*events, routes=routes).choose(Ask("33612", country="FR"))
    assert isinstance(found, Send)
    assert found.carrier == "b"
    few = [events[0], quality(9, 0, carrier="b", hour_delivered=9, clicked=9)]
    found = choice(*few, routes=routes).choose(Ask("33612", country="FR"))
    assert isinstance(found, Send)
    assert found.carrier == "a"

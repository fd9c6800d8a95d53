"""How sure we are of a carrier's delivery."""

from hypothesis import given
from hypothesis import strategies as st
from router.domain.health import COMEBACK_MS, HealthPicture
from router.domain.quality import HALF_LIFE_MS, QualityPicture, Verdict, wilson
from routing_values import NOW, health
from shared.contracts.events import CarrierQuality


def quality(delivered: int, failed: int, at: int = NOW, carrier: str = "a") -> CarrierQuality:
    return CarrierQuality(
        event_id="q", tenant_id="system", occurred_at=at, carrier=carrier, country="FR", window_s=60,
        submitted=delivered + failed, delivered=delivered, failed=failed, delivery_rate=0.0, delay_ms=0.0,
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

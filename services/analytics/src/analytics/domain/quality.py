"""How well a carrier delivers, from the sums of one window and of the last hour."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.contracts.events import CarrierDelta, CarrierQuality
from shared.contracts.fields import SYSTEM_TENANT

from analytics.domain.anomalies import anomalies
from analytics.domain.delays import percentile
from analytics.domain.suspicion import Hour, suspicion_of

WINDOW_S = 60
STEP_S = 10
HOUR_S = 3_600


class Sums(NamedTuple):
    """What a window holds. Faust keeps it as a JSON list; what an older build put there is shorter."""

    submitted: int = 0
    delivered: int = 0
    failed: int = 0
    delay_ms: int = 0
    clicked: int = 0
    delays: Mapping[str, int] = {}
    errors: Mapping[str, int] = {}


def sums_of(delta: CarrierDelta) -> Sums:
    return Sums(
        delta.submitted, delta.delivered, delta.failed, delta.delay_ms_sum, delta.clicked, delta.delays, delta.errors
    )


def added(kept: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    """The sum of two windows, as the table keeps it."""
    return list(total((kept, more)))


def total(windows: Iterable[Sequence[Any]]) -> Sums:
    counts, delays, errors = [0] * 5, dict[str, int](), dict[str, int]()
    for window in windows:
        sums = Sums(*window)
        for place, count in enumerate((sums.submitted, sums.delivered, sums.failed, sums.delay_ms, sums.clicked)):
            counts[place] += count
        for into, more in ((delays, sums.delays), (errors, sums.errors)):
            for name, count in more.items():
                into[name] = into.get(name, 0) + count
    return Sums(counts[0], counts[1], counts[2], counts[3], counts[4], delays, errors)


def quality_of(
    carrier: str, country: str, window: Sums, hour: Sums, others: Iterable[Sums], now: int
) -> CarrierQuality:  # fmt: skip
    """`hour` includes the window; `others` are the hours of the country's other carriers. `delivery_rate` is of those
    that ended in the window; zero when none did."""
    ended, measured = window.delivered + window.failed, sum(window.delays.values()) or window.delivered
    suspicion = suspicion_of(_hour(hour), [_hour(other) for other in others])
    return CarrierQuality(
        event_id=f"{carrier}:{country}:{now}", tenant_id=SYSTEM_TENANT, occurred_at=now, carrier=carrier, country=country,
        window_s=WINDOW_S, submitted=window.submitted, delivered=window.delivered, failed=window.failed,
        delivery_rate=window.delivered / ended if ended else 0.0, delay_ms=window.delay_ms / measured if measured else 0.0,
        delay_p50_ms=percentile(window.delays, 0.5), delay_p95_ms=percentile(window.delays, 0.95),
        delay_p99_ms=percentile(window.delays, 0.99), errors=dict(window.errors), hour_delivered=hour.delivered,
        clicked=hour.clicked, suspicion=suspicion,
        anomalies=anomalies(
            (window.delivered, window.failed, window.delays), (hour.delivered, hour.failed, hour.delays), suspicion
        ),
    )  # fmt: skip


def _hour(sums: Sums) -> Hour:
    return Hour(sums.delivered, sums.clicked, sums.delays)

"""How well a carrier delivers, from the sums of one window."""

from collections.abc import Sequence

from shared.contracts.events import CarrierDelta, CarrierQuality
from shared.contracts.fields import SYSTEM_TENANT

WINDOW_S = 60
STEP_S = 10
NOTHING = (0, 0, 0, 0)
Sums = Sequence[int]  # submitted, delivered, failed, delay in ms; a list, since Faust keeps it as JSON


def sums_of(delta: CarrierDelta) -> list[int]:
    return [delta.submitted, delta.delivered, delta.failed, delta.delay_ms_sum]


def added(sums: Sums, more: Sums) -> list[int]:
    return [a + b for a, b in zip(sums, more, strict=True)]


def quality_of(carrier: str, country: str, sums: Sums, now: int) -> CarrierQuality:
    """`delivery_rate` is of those that ended in the window; zero when none did."""
    submitted, delivered, failed, delay_ms = sums
    ended = delivered + failed
    return CarrierQuality(
        event_id=f"{carrier}:{country}:{now}", tenant_id=SYSTEM_TENANT, occurred_at=now, carrier=carrier, country=country,
        window_s=WINDOW_S, submitted=submitted, delivered=delivered, failed=failed,
        delivery_rate=delivered / ended if ended else 0.0, delay_ms=delay_ms / delivered if delivered else 0.0,
    )  # fmt: skip

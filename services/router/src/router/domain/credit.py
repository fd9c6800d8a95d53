"""How many more marketing messages may be released now, and to which tenant (promise 6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from router.domain.health import HealthPicture
from router.domain.tariff import Tariff

AHEAD_S = 900  # at most 15 minutes of the carriers' rate waits downstream of the segmenter
TENANT_AHEAD_S = (
    120  # and of one tenant no more than this: whoever comes next waits behind so little, not behind 15 minutes
)


@dataclass(frozen=True, slots=True)
class Credit:
    """`rate`: parts a second that all healthy carriers take together; `waits`: messages already released."""

    rate: int
    waits: int

    @property
    def messages(self) -> int:
        return max(0, self.rate * AHEAD_S - self.waits)


class Tenant(NamedTuple):
    """`waits`: its messages already released; `wants`: how many it would release now; `share`: its weight beside
    others; `pace`: messages a second that its own limit allows, None for no limit."""

    waits: int = 0
    wants: int = 0
    share: int = 1
    pace: float | None = None


def granted(credit: Credit, tenants: Mapping[str, Tenant]) -> dict[str, int]:
    """How many each may release. `tenants`: those that want some, and those whose messages wait.

    Nobody has more waiting than its share of all that may wait, or than two minutes of the rate, or of its own pace.
    Where the room is too small for all, those with the least waiting for their share come first.
    """
    shares = sum(tenant.share for tenant in tenants.values() if tenant.wants or tenant.waits)
    most = {}
    for name, tenant in tenants.items():
        rate = credit.rate if tenant.pace is None else min(credit.rate, tenant.pace)
        held = min(rate * TENANT_AHEAD_S, credit.rate * AHEAD_S * tenant.share / max(1, shares))
        most[name] = max(0, min(tenant.wants, int(held) - tenant.waits))
    if sum(most.values()) <= credit.messages:
        return {name: most[name] for name, tenant in tenants.items() if tenant.wants}

    def up_to(level: float) -> dict[str, int]:
        return {name: max(0, min(most[name], int(level * t.share) - t.waits)) for name, t in tenants.items()}

    low, high = 0.0, max((most[name] + t.waits) / t.share for name, t in tenants.items())
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(up_to(middle).values()) <= credit.messages else (low, middle)
    found = up_to(low)
    return {name: found[name] for name, tenant in tenants.items() if tenant.wants}


def waiting_of(newest_first: Iterable[tuple[str, int]], waits: int) -> dict[str, int]:
    """Whose messages wait, when so many of those released do: the newest ones, since the topics are queues."""
    found: dict[str, int] = {}
    for tenant, messages in newest_first:
        if waits <= 0:
            break
        found[tenant] = found.get(tenant, 0) + min(messages, waits)
        waits -= messages
    return found


def rate_of(tariff: Tariff, health: HealthPicture, now: int) -> int:
    """Of carriers that are enabled, have a connector and are healthy, what the operator or the contract allows."""
    total = 0.0
    for terms in tariff.terms.values():
        if tariff.bar(terms) or not health.standing(terms.carrier, now).usable:
            continue
        report = health.report(terms.carrier)
        limit = report.limit if report is not None and report.limit > 0 else terms.tps
        total += min(terms.tps, limit)
    return int(total)


def lag_of(committed: Mapping[object, int], begin: Mapping[object, int], end: Mapping[object, int]) -> int:
    """Records between what a group has committed and the end; a group that never committed starts at the beginning."""
    found = 0
    for place, last in end.items():
        offset = committed.get(place, -1)
        found += max(0, last - (offset if offset >= 0 else begin[place]))
    return found

"""Leases of bind slots: two processes never use one bind, and one that slept past its lease writes nothing more.

PostgreSQL's clock decides when a lease is over; ours, read before the request that extended it, decides earlier.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from shared.db.database import Database, passing_troubles

LEASE_S = 5.0
RENEW_EVERY_S = 1.0
MARGIN_S = 0.5  # for what lies between the look at the clock and the octets on the wire
OPEN_SLACK_S = 60.0  # added to the age of the oldest open claim: clocks and transactions that were under way


def steady_now() -> float:
    """Seconds of a clock that also runs while the machine sleeps, so that a resumed machine knows its lease is over."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """A slot that is ours until `deadline` of the steady clock."""

    __slots__ = ("deadline", "epoch", "lost", "slot")

    def __init__(self, slot: int, epoch: int, deadline: float) -> None:
        self.slot, self.epoch, self.deadline = slot, epoch, deadline
        self.lost = False

    def valid(self, now: float) -> bool:
        """Whether anything may be written under it."""
        return not self.lost and now < self.deadline


class SlotReport(NamedTuple):
    """What a renewal tells the others."""

    lease: Lease
    up: bool
    oldest_open_s: float  # age of the oldest open claim under this lease


_EXPIRED = """
SELECT s.slot FROM generate_series(0, $2::int - 1) AS s (slot)
LEFT JOIN bind_leases l ON l.carrier = $1 AND l.slot = s.slot
WHERE l.slot IS NULL OR l.lease_until < clock_timestamp()
ORDER BY s.slot
"""

# open_since stays as the former owner left it until its open claims have been swept.
_ACQUIRE = """
INSERT INTO bind_leases AS l (carrier, slot, owner, epoch, lease_until, open_since, up)
VALUES ($1, $2, $3, 1, clock_timestamp() + make_interval(secs => $4), clock_timestamp(), false)
ON CONFLICT (carrier, slot) DO UPDATE
   SET owner = EXCLUDED.owner, epoch = l.epoch + 1, lease_until = EXCLUDED.lease_until, up = false
 WHERE l.lease_until < clock_timestamp()
RETURNING epoch
"""

_RENEW = """
UPDATE bind_leases l
SET lease_until = clock_timestamp() + make_interval(secs => $6), up = u.up,
    open_since = CASE WHEN $7 THEN greatest(l.open_since, clock_timestamp() - make_interval(secs => u.age))
                      ELSE l.open_since END
FROM unnest($2::smallint[], $3::bigint[], $4::bool[], $5::float8[]) AS u (slot, epoch, up, age)
WHERE l.carrier = $1 AND l.slot = u.slot AND l.epoch = u.epoch AND l.lease_until > clock_timestamp()
RETURNING l.slot
"""

_RELEASE = """
UPDATE bind_leases SET lease_until = clock_timestamp() - interval '1 millisecond', up = false
WHERE carrier = $1 AND slot = $2 AND epoch = $3
"""

_BINDS_UP = "SELECT count(*) FROM bind_leases WHERE carrier = $1 AND up AND lease_until > clock_timestamp()"


class Leases:
    """RetryLaterError from any method: whether it took effect is not known."""

    def __init__(
        self,
        database: Database,
        carrier: str,
        owner: str,
        clock: Callable[[], float] = steady_now,
        lease_s: float = LEASE_S,
    ) -> None:
        """`owner` names this process in the table, for people."""
        self._database, self._carrier, self._owner = database, carrier, owner
        self._clock, self._lease_s = clock, lease_s

    async def acquire(self, slots: int, wanted: int) -> list[Lease]:
        """At most `wanted` of the carrier's slots that nobody holds."""
        got: list[Lease] = []
        async with passing_troubles(), self._database.pool.acquire() as connection:
            free = [row["slot"] for row in await connection.fetch(_EXPIRED, self._carrier, slots)]
            for slot in free:
                if len(got) == wanted:
                    break
                asked = self._clock()
                epoch = await connection.fetchval(_ACQUIRE, self._carrier, slot, self._owner, self._lease_s)
                if epoch is not None:
                    got.append(Lease(slot, epoch, asked + self._lease_s - MARGIN_S))
        return got

    async def renew(self, reports: Sequence[SlotReport], *, swept: bool) -> None:
        """Extends the leases; one that is no longer ours is marked lost. `swept`: no claims of former owners are open."""
        asked = self._clock()
        async with passing_troubles():
            rows = await self._database.pool.fetch(
                _RENEW,
                self._carrier,
                [r.lease.slot for r in reports],
                [r.lease.epoch for r in reports],
                [r.up for r in reports],
                [r.oldest_open_s + OPEN_SLACK_S for r in reports],
                self._lease_s,
                swept,
                timeout=self._lease_s,
            )
        kept = {row["slot"] for row in rows}
        for report in reports:
            if report.lease.slot in kept:
                report.lease.deadline = asked + self._lease_s - MARGIN_S
            else:
                report.lease.lost = True

    async def release(self, lease: Lease) -> None:
        """Gives the slot away at once; its bind is closed."""
        lease.lost = True
        async with passing_troubles():
            await self._database.pool.execute(_RELEASE, self._carrier, lease.slot, lease.epoch)

    async def binds_up(self) -> int:
        """Binds of this carrier that can carry messages, over all processes."""
        async with passing_troubles():
            return int(await self._database.pool.fetchval(_BINDS_UP, self._carrier))

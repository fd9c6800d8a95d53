"""A batch of message states: what is new moves between counters, in one transaction with how far the topic was read."""

from collections.abc import Callable, Sequence

from shared.clock import Clock
from shared.contracts.events import CarrierDelta, MessageStatus
from shared.contracts.fields import SYSTEM_TENANT
from shared.contracts.topics import DELTA
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing, Publisher

from analytics.adapters.response_store import Responding
from analytics.adapters.rollup_store import Counted, RollupStore
from analytics.domain.carrier_deltas import carrier_sums
from analytics.domain.contribution import changes, minutes, moves, newest, people_to_recount, state_of

Partition = tuple[str, int]


class CountStatuses:
    """Handler of `sms.message.status`."""

    def __init__(
        self, store: RollupStore, publisher: Publisher, wake_outbox: Callable[[], None], clock: Clock, *, keep_ms: int
    ) -> None:
        """`keep_ms`: messages older than this are forgotten one by one, and would count twice if they came again."""
        self._store, self._publisher, self._wake, self._clock = store, publisher, wake_outbox, clock
        self._keep_ms = keep_ms

    async def handle(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        partitions = {(r.topic, r.partition) for r in batch}
        async with self._store.counting({r.event.tenant_id for r in batch}) as counting:
            counted = await counting.counted(sorted(partitions))
            fresh = [r for r in batch if not is_counted(r, counted[r.topic, r.partition])]
            if not fresh:
                return
            statuses = newest(r.event for r in fresh)
            known = await counting.states(statuses)
            told = [s for s in statuses.values() if s.message_id in known or s.accepted_at >= now - self._keep_ms]
            found = changes(known, [state_of(status) for status in told])
            deltas = self._deltas(carrier_sums(found, statuses).items(), fresh, now)
            await counting.save(found, moves(found), minutes(found), reached(fresh, counted), deltas, now)
            people = people_to_recount(found)
            if people:
                responding = Responding.within(counting)
                await responding.attribute(sorted(people), now)
                await responding.flush(now)
        if deltas:
            self._wake()

    def _deltas(self, sums: object, fresh: Sequence[Received], now: int) -> list[Outgoing]:
        """One record a carrier and country; its id is made of the last offsets, so that a repeat has the same."""
        last: dict[int, int] = {}
        for record in fresh:
            last[record.partition] = max(record.offset, last.get(record.partition, 0))
        place = ",".join(f"{partition}@{offset}" for partition, offset in sorted(last.items()))
        times = [status_time(r.event) for r in fresh]
        span = max(times) - min(times)
        return [
            self._publisher.record(
                DELTA.name,
                carrier,
                CarrierDelta(
                    event_id=f"{carrier}:{country}:{place}", tenant_id=SYSTEM_TENANT, occurred_at=now, carrier=carrier,
                    country=country or "ZZ", span_ms=min(span, 2**31 - 1), submitted=s.submitted, delivered=s.delivered,
                    failed=s.failed, delay_ms_sum=s.delay_ms, delays=s.delays, errors=s.errors,
                ),
            )
            for (carrier, country), s in sums  # type: ignore[attr-defined]
        ]  # fmt: skip


def status_time(status: MessageStatus) -> int:
    return status.occurred_at


def is_counted(record: Received, counted: Counted) -> bool:
    """Below the stored offset, unless it is newer than everything counted: then the topic was made anew."""
    return record.offset < counted.next_offset and record.timestamp <= counted.newest


def reached(fresh: Sequence[Received], counted: dict[Partition, Counted]) -> dict[Partition, Counted]:
    """Where each partition of the batch stands after it."""
    found: dict[Partition, Counted] = {}
    for record in fresh:
        place = (record.topic, record.partition)
        known = found.get(place, Counted(0, counted[place].newest))
        found[place] = Counted(max(known.next_offset, record.offset + 1), max(known.newest, record.timestamp))
    return found

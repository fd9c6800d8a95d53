"""Batches of what people did: clicks, tracked events, changed consents, erasures; each with how far its topic was read."""

from collections import Counter
from collections.abc import Callable, Sequence

from shared.clock import Clock
from shared.contracts.events import CarrierDelta, EventTracked
from shared.contracts.fields import SYSTEM_TENANT
from shared.contracts.topics import CLICKED, CONSENT, DELTA, ERASED, REPLIED, TRACKED
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.metrics import Metrics

from analytics.adapters.response_store import Person, Responding, ResponseStore
from analytics.domain.attribution import Conversion, Rule, counts
from analytics.domain.conversions import Refusal, conversion_of, correction_of
from analytics.domain.response_sums import First
from analytics.handlers import is_counted, reached

TOPICS = (CLICKED.name, REPLIED.name, TRACKED.name, CONSENT.name, ERASED.name)


class CountResponses:
    """Handler of all these topics."""

    def __init__(
        self,
        store: ResponseStore,
        publisher: Publisher,
        wake_outbox: Callable[[], None],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store, self._publisher, self._wake, self._clock = store, publisher, wake_outbox, clock
        self._refused = metrics.counter("relais_conversions_refused")

    async def handle(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        refused: Counter[tuple[str, str]] = Counter()
        async with self._store.responding({r.event.tenant_id for r in batch}) as responding:
            counted = await responding.counted(sorted({(r.topic, r.partition) for r in batch}))
            fresh = [r for r in batch if not is_counted(r, counted[r.topic, r.partition])]
            if not fresh:
                return
            by_topic = {topic: [r.event for r in fresh if r.topic == topic] for topic in TOPICS}
            if by_topic[ERASED.name]:
                await responding.forget(by_topic[ERASED.name])
            if by_topic[CLICKED.name]:
                await responding.add_clicks(by_topic[CLICKED.name])
            if by_topic[REPLIED.name]:
                await responding.add_replies(by_topic[REPLIED.name])
            if by_topic[CONSENT.name]:
                await responding.stances(by_topic[CONSENT.name])
            if by_topic[TRACKED.name]:
                refused = await self._track(responding, by_topic[TRACKED.name], now)
            await responding.reached(reached(fresh, counted))
            await responding.flush(now)
            last = sorted({r.partition: r.offset for r in fresh if r.topic == CLICKED.name}.items())
            place = ",".join(f"{partition}@{offset}" for partition, offset in last)
            deltas = click_deltas(self._publisher, responding.first_clicks, place, now)
            await responding.put(deltas)
        if deltas:
            self._wake()
        for (_, reason), events in refused.items():
            self._refused.add(events, {"reason": reason})

    async def _track(
        self, responding: Responding, events: Sequence[EventTracked], now: int
    ) -> Counter[tuple[str, str]]:
        refused: Counter[tuple[str, str]] = Counter()
        rules = await responding.rules(event.tenant_id for event in events)
        people = sorted({(event.tenant_id, event.contact_ref) for event in events})
        erased = await responding.erased(people)
        since = await responding.touches(sorted(erased)) if erased else {}
        known = await responding.conversions([event.event_id for event in events])
        told: dict[tuple[str, str], tuple[Person, Conversion, int]] = {}
        changed: list[tuple[str, Conversion, Conversion]] = []
        for event in events:
            person, place = (event.tenant_id, event.contact_ref), (event.tenant_id, event.event_id)
            found = conversion_of(event)
            # Whoever was written to after the erasure is known to the tenant anew.
            if person in erased and not any(touch.at > erased[person] for touch in since.get(person, ())):
                found = Refusal.ERASED
            if isinstance(found, Refusal):
                refused[event.tenant_id, found.value] += 1
                continue
            if not _may_count(rules.get(event.tenant_id, {}), found):
                continue
            before = (told[place][1], told[place][2]) if place in told else known.get(place)
            if before is None:
                told[place] = (person, found, 1)
            elif (correction := correction_of(before[0], found)) is not None:
                told[place] = (person, correction.after, before[1] + 1)
                changed.append((event.tenant_id, correction.before, correction.after))
        if told:
            await responding.save_conversions(list(told.values()), changed, now)
            await responding.attribute(sorted({person for person, _, _ in told.values()}), now)
        if refused:
            await responding.refuse(refused, now)
        return refused


def _may_count(rules: dict[str, Rule], conversion: Conversion) -> bool:
    """Behaviour that no campaign takes for a conversion is not kept."""
    return any(counts(rule, conversion) for rule in (*rules.values(), Rule()))


def click_deltas(publisher: Publisher, firsts: Sequence[First], place: str, now: int) -> list[Outgoing]:
    """What tells the windows that people read what a carrier says it delivered. `place` makes the ids: where the clicks
    stood on their topic, so that a repeat has the same."""
    clicked = Counter((first.place.carrier, first.place.country or "ZZ") for first in firsts if first.place.carrier)
    return [
        publisher.record(
            DELTA.name, carrier,
            CarrierDelta(
                event_id=f"{carrier}:{country}:clicks:{place}", tenant_id=SYSTEM_TENANT, occurred_at=now, carrier=carrier,
                country=country, span_ms=0, submitted=0, delivered=0, failed=0, delay_ms_sum=0, clicked=count,
            ),
        )
        for (carrier, country), count in sorted(clicked.items())
    ]  # fmt: skip

"""Finds the networks of ported numbers for a batch: from memory, from the table, and last from sources that cost money.

Only for messages that would go now, and only where another network would change who takes them. Bound by a deadline:
what is not known by then goes by the number plan.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from shared.clock import Clock
from shared.contracts.topics import Lane
from shared.crypto.ids import NumberIndex
from shared.crypto.sealing import CannotOpenError, Kind
from shared.crypto.vault import Vault
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from router.adapters.portability_store import PortabilityStore
from router.domain.decide import Decider, Message
from router.domain.portability import Known, PortabilitySource, PortedNumbers, SourceError, Worth

DEADLINE_S = {Lane.NOW: 0.15, Lane.BULK: 1.0}  # of all sources together: a one-time code has 500 ms for the whole road
NOT_AGAIN_S = 5.0  # a source that failed is left alone so long
IN_MEMORY_MS = 60_000  # an import is in force everywhere after a minute
UNKNOWN_MS = 24 * 3_600_000  # a number that no source knows is asked for again after a day
PERIOD_S = 5.0


class Portability:
    def __init__(
        self, store: PortabilityStore, sources: Sequence[PortabilitySource], countries: frozenset[str], kept_ms: int,
        vault: Vault, index: NumberIndex, metrics: Metrics, clock: Clock,
    ) -> None:  # fmt: skip
        """`sources` in the order in which they are asked; `countries`: where they may be, empty for everywhere;
        `kept_ms`: how long an answer is believed."""
        self._store, self._sources, self._countries, self._kept_ms = store, tuple(sources), countries, kept_ms
        self._vault, self._index, self._clock = vault, index, clock
        self._numbers, self._worth = PortedNumbers(), Worth()
        self._anything = False
        self._rests: dict[str, float] = {}
        self._lookups = metrics.counter("relais_portability_lookups")
        self._log = logger(part="portability")

    async def run(self) -> None:
        while True:
            try:
                self._anything = await self._store.anything()
                await self._store.forget(self._clock())
            except RetryLaterError as error:
                self._log.warning("ported numbers are not looked after", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def known_network(self, number: str, now: int) -> str | None:
        """Of one number (E.164 with +), from what is kept: nobody is asked."""
        number_hash = self._index.number_hash(number)
        found = (await self._store.known([number_hash], now)).get(number_hash)
        return (found.network or None) if found is not None else None

    async def networks(self, messages: Sequence[Message], decider: Decider, lane: Lane) -> Mapping[str, str]:
        """Number hash to network (MCC and MNC), for those of these messages whose network is known and matters."""
        if not self._sources and not self._anything:
            return {}
        now = decider.now
        wanted = {m.number_hash: m for m in messages if self._matters(m, decider)}
        found = {h: known for h in wanted if (known := self._numbers.get(h, now)) is not None}
        missing = [h for h in wanted if h not in found]
        if missing:
            stored = await self._store.known(missing, now)
            self._remember(stored, now)
            found |= stored
            missing = [h for h in missing if h not in stored]
        if missing and self._sources:
            found |= await self._ask([wanted[h] for h in missing if self._may_ask(wanted[h])], lane)
        return {h: known.network for h, known in found.items() if known.network}

    def _matters(self, m: Message, decider: Decider) -> bool:
        networks = decider.plan.networks(m.country)
        return len(networks) > 1 and self._worth.changes(
            decider.choice, decider.ask(m, m.sender), networks, decider.now
        )

    def _may_ask(self, m: Message) -> bool:
        return not self._countries or m.country in self._countries

    def _remember(self, found: Mapping[str, Known], now: int) -> None:
        for number_hash, known in found.items():
            self._numbers.add(number_hash, known._replace(expires=min(known.expires, now + IN_MEMORY_MS)))

    async def _ask(self, messages: Sequence[Message], lane: Lane) -> dict[str, Known]:
        await self._vault.load(m.number for m in messages)
        numbers: dict[str, str] = {}
        for m in messages:
            try:
                numbers[self._vault.open(m.tenant_id, Kind.NUMBER, m.number)] = m.number_hash
            except CannotOpenError:
                continue  # the connector cannot either, and says so
        until = time.monotonic() + DEADLINE_S[lane]
        kept: dict[str, Known] = {}
        for source in self._sources:
            left = until - time.monotonic()
            if not numbers or left <= 0:
                break
            if time.monotonic() < self._rests.get(source.name, 0.0):
                continue
            answers = await self._answers(source, list(numbers), left)
            now = self._clock()
            last = source is self._sources[-1]
            told = {
                numbers[number]: Known(network or "", now + (self._kept_ms if network else UNKNOWN_MS))
                for number, network in answers.items()
                if number in numbers and (network or last)
            }
            self._remember(told, now)
            await self._store.keep(told, source.name)
            kept |= told
            numbers = {number: h for number, h in numbers.items() if h not in told}
        return kept

    async def _answers(
        self, source: PortabilitySource, numbers: Sequence[str], within_s: float
    ) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        trouble = ""
        try:
            async with asyncio.timeout(within_s):
                await source.look_up(numbers, found)
        except TimeoutError:
            trouble = "late"
        except SourceError as error:
            trouble = "failed"
            self._log.warning("a portability source fails", source=source.name, error=str(error))
        if trouble and not found:
            self._rests[source.name] = time.monotonic() + NOT_AGAIN_S
        known = sum(network is not None for network in found.values())
        unanswered = len(numbers) - len(found)
        for outcome, count in (("found", known), ("unknown", len(found) - known), (trouble or "silent", unanswered)):
            if count:
                self._lookups.add(count, {"source": source.name, "outcome": outcome})
        return dict(found)

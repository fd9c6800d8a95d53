"""Taking messages and events: claim the key, build the records, publish with everybody else's, store the answer.

The order is what keeps the promises: an idempotency row is committed before anything is published, so that whoever
takes it over publishes the same ids; the caller gets its 202 after the brokers have the records; the answer is stored
last. A process that dies anywhere in between leaves a row that the caller's next try takes over.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from shared.clock import Clock
from shared.contracts.topics import TRACKED, Lane, accepted, lane_of
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from shared.errors import RetryLaterError
from shared.http.problems import ProblemError
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics
from shared.telemetry.traces import Headers, headers_now

from ingest.adapters.collector import Collector
from ingest.adapters.idempotency_store import Begun, Ended, IdempotencyStore
from ingest.domain.accept import event_id, event_tracked, message_accepted
from ingest.domain.event_request import CheckedEvent
from ingest.domain.faults import Fault, problem_of
from ingest.domain.idempotency import HEARTBEAT_S, Claim, Refusal, Replay, Run
from ingest.domain.message_request import Checked

GROUP_RECORDS = 4_000  # about 2 MB a publish
WAITING_RECORDS = 40_000  # what may wait for the brokers before newcomers are told to come back
GROUP_ROWS = 500
WAITING_ROWS = 10_000
SWEEP_EVERY = 120  # heartbeats
KINDS = (Kind.NUMBER, Kind.TEXT)


class Answer(NamedTuple):
    """What the caller gets, with 202. `expires_ms`: until when its Idempotency-Key is remembered, if it had one."""

    body: bytes
    expires_ms: int | None = None
    replayed: bool = False


class Built(NamedTuple):
    records: list[Outgoing]
    answer: bytes


Build = Callable[[int], Built]  # from the moment at which the request was first seen, ms
_encode = msgspec.json.Encoder().encode


class Intake:
    """Shared by all requests of this process."""

    def __init__(
        self,
        store: IdempotencyStore,
        publisher: Publisher,
        vault: Vault,
        master: bytes,
        metrics: Metrics,
        clock: Clock,
        *,
        patience_s: float,
    ) -> None:
        """`patience_s`: how long a caller waits for the brokers before it is told to try again."""
        self._store, self._publisher, self._vault, self._clock = store, publisher, vault, clock
        self._ids, self._numbers, self._master = MessageIds(master), NumberIndex(master), master
        self._patience_s = patience_s
        self._accepted = metrics.counter("relais_messages_accepted")
        self._log = logger(part="intake")
        self._begin: Collector[Claim, Begun] = Collector(store.begin, group=GROUP_ROWS, waiting=WAITING_ROWS)
        self._publish: Collector[list[Outgoing], None] = Collector(
            self._publish_all, weight=len, group=GROUP_RECORDS, waiting=WAITING_RECORDS
        )
        self._finish: Collector[Ended, None] = Collector(store.finish, group=GROUP_ROWS, waiting=WAITING_ROWS)
        self._unsettled: list[Ended] = []
        self._in_hand: set[asyncio.Task[bytes]] = set()

    # What a caller may ask for.

    async def take_messages(
        self, tenant: str, items: Sequence[Checked | list[Fault]], claim: Claim | None, *, single: bool
    ) -> Answer:
        """202's body for these messages; those with faults get their problem in their place."""
        now = self._clock()
        headers = headers_now()
        answer = await self._take(
            tenant, claim, lambda born_ms: self._build_messages(tenant, items, claim, born_ms, now, headers, single)
        )
        if not answer.replayed:
            self._count(items)
        return answer

    async def take_events(
        self, tenant: str, items: Sequence[CheckedEvent | list[Fault]], claim: Claim | None
    ) -> Answer:
        now = self._clock()
        headers = headers_now()
        return await self._take(
            tenant, claim, lambda born_ms: self._build_events(tenant, items, claim, born_ms, now, headers)
        )

    # The road that both take.

    async def _take(self, tenant: str, claim: Claim | None, build: Build) -> Answer:
        """ProblemError 409 and 422 as the draft on Idempotency-Key says; RetryLaterError when the brokers are away."""
        try:
            async with asyncio.timeout(self._patience_s):
                if claim is None:
                    return Answer(await self._publish_built(tenant, build, self._clock()))
                begun = await self._begin.submit(claim)
                if isinstance(begun, Refusal):
                    raise _refused(begun)
                if isinstance(begun, Replay):
                    return Answer(begun.answer, begun.expires_ms, replayed=True)
                # Goes on when the caller's patience ends: the row must not stay ours for ever.
                task = asyncio.create_task(self._run(claim, begun, build))
                self._in_hand.add(task)
                task.add_done_callback(self._ended)
                return Answer(await asyncio.shield(task), begun.expires_ms)
        except TimeoutError as error:
            raise RetryLaterError("the brokers have not answered in time", after_s=2) from error

    async def _run(self, claim: Claim, run: Run, build: Build) -> bytes:
        try:
            answer = await self._publish_built(claim.tenant_id, build, run.born_ms)
        except BaseException:
            # Part of it may be on Kafka already: the row stays, and with it the ids of the next try.
            await self._settle(Ended(claim.place, None))
            raise
        await self._settle(Ended(claim.place, answer))
        return answer

    async def _publish_built(self, tenant: str, build: Build, born_ms: int) -> bytes:
        await self._vault.ready_for((tenant,), KINDS, self._clock())
        built = build(born_ms)
        if built.records:
            await self._publish.submit(built.records)
        return built.answer

    async def _publish_all(self, groups: list[list[Outgoing]]) -> Sequence[None]:
        await self._publisher.publish(chain.from_iterable(groups))
        return [None] * len(groups)

    async def _settle(self, ended: Ended) -> None:
        """The messages are on Kafka or refused whatever becomes of the row: a trouble here is mended later."""
        try:
            await self._finish.submit(ended)
        except RetryLaterError:
            self._unsettled.append(ended)

    def _ended(self, task: asyncio.Task[bytes]) -> None:
        self._in_hand.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("a keyed request failed", error=type(error).__name__)

    # The process's sign of life, on which the rows it runs depend.

    async def keep_alive(self) -> None:
        """Runs until it is cancelled: renews the lease, stores answers that could not be stored, sweeps."""
        turn = 0
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            turn += 1
            try:
                await self._store.beat()
                if self._unsettled:
                    left, self._unsettled = self._unsettled, []
                    try:
                        await self._store.finish(left)
                    except RetryLaterError:
                        self._unsettled += left
                        raise
                if turn % SWEEP_EVERY == 0:
                    await self._store.sweep()
            except RetryLaterError as error:
                self._log.warning("the lease could not be renewed", error=str(error))

    # Records.

    def _build_messages(
        self,
        tenant: str,
        items: Sequence[Checked | list[Fault]],
        claim: Claim | None,
        born_ms: int,
        now_ms: int,
        headers: Headers,
        single: bool,
    ) -> Built:
        seal_number = self._vault.sealer(tenant, Kind.NUMBER, now_ms).seal
        seal_text = self._vault.sealer(tenant, Kind.TEXT, now_ms).seal
        topics = {lane: accepted(lane).name for lane in Lane}
        born_s = born_ms // 1000
        records: list[Outgoing] = []
        results: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            if isinstance(item, list):
                results.append({"error": problem_of(item)})
                continue
            if claim is None:
                message_id = self._ids.random(tenant, born_s)
            else:
                message_id = self._ids.derive(tenant, born_s, "api", claim.key, str(index))
            contact_id = self._numbers.contact_id(tenant, item.to)
            event = message_accepted(
                item, tenant=tenant, message_id=message_id, contact_id=contact_id,
                number_hash=self._numbers.number_hash(item.to), born_ms=born_ms, seal_number=seal_number,
                seal_text=seal_text,
            )  # fmt: skip
            records.append(self._publisher.record(topics[lane_of(item.purpose)], contact_id, event, headers))
            results.append({"message_id": message_id, "status": "accepted"})
        return Built(records, _encode(results[0] if single else {"results": results}))

    def _build_events(
        self,
        tenant: str,
        items: Sequence[CheckedEvent | list[Fault]],
        claim: Claim | None,
        born_ms: int,
        now_ms: int,
        headers: Headers,
    ) -> Built:
        seal_text = self._vault.sealer(tenant, Kind.TEXT, now_ms).seal
        records: list[Outgoing] = []
        results: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            if isinstance(item, list):
                results.append({"error": problem_of(item)})
                continue
            if item.id is not None:
                source: tuple[str, ...] = ("event", item.id)
            elif claim is not None:
                source = ("request", claim.key, str(born_ms), str(index))
            else:
                source = ("once", uuid4().hex)
            made = event_id(self._master, tenant, *source)
            event = event_tracked(item, tenant=tenant, event_id=made, born_ms=born_ms, seal_text=seal_text)
            records.append(self._publisher.record(TRACKED.name, f"{tenant}:{item.contact}", event, headers))
            results.append({"event_id": made, "status": "accepted"})
        return Built(records, _encode({"results": results}))

    def _count(self, items: Sequence[Checked | list[Fault]]) -> None:
        counts: dict[Lane, int] = {}
        for item in items:
            if isinstance(item, Checked):
                lane = lane_of(item.purpose)
                counts[lane] = counts.get(lane, 0) + 1
        for lane, count in counts.items():
            self._accepted.add(count, {"lane": str(lane)})


def _refused(refusal: Refusal) -> ProblemError:
    if refusal is Refusal.MISMATCH:
        return ProblemError(
            422,
            "idempotency_key_reused",
            "Idempotency-Key: the key was used with another request; use a new key for a new request",
            errors=[{"field": "Idempotency-Key", "code": "reused", "detail": refusal.value}],
        )
    return ProblemError(
        409, "request_running", "Idempotency-Key: " + refusal.value + "; try again", headers={"Retry-After": "1"}
    )

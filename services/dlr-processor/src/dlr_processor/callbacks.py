"""The worker that makes callbacks: in order for one message, many at once for one receiver, none of whom delays another."""

import asyncio
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from dlr_processor.adapters import callback_queue as queue
from dlr_processor.adapters.callback_queue import Call, Done, Health, Receiver
from dlr_processor.adapters.ledger import tune_probes
from dlr_processor.adapters.post_callback import CallbackPoster
from dlr_processor.adapters.secrets import SecretBox, new_secret
from dlr_processor.domain.retries import Circuit, next_try_ms
from dlr_processor.domain.shapes import Item, call_of

IN_FLIGHT = 200
PER_TARGET = 64  # 2,000 calls a second need 40 under way at a receiver that answers in 20 ms
BATCHES_AT_ONCE = 8
IDLE_S = 0.25  # how late a retry, and what another replica has queued, may be noticed


class CallbackWorker:
    def __init__(
        self, database: Database, poster: CallbackPoster, box: SecretBox, metrics: Metrics, now_ms: Clock
    ) -> None:
        self._database, self._poster, self._box, self._now = database, poster, box, now_ms
        self._outcomes = metrics.counter("relais_callbacks")
        self._log = logger(part="callbacks")
        self._wake = asyncio.Event()
        self._circuits: dict[str, Circuit] = {}  # of receivers that failed last time
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[Done] = []
        self._health: dict[str, Health] = {}
        self._again: list[tuple[int, int, int]] = []
        self._owner = uuid.uuid4().hex
        self._leases: dict[str, int] = {}  # receivers that are this worker's to call, until when
        self._held: set[int] = set()  # callbacks taken from the queue whose end is not on record yet

    def wake(self) -> None:
        """To be called after a commit that queued something, and whenever a call has ended."""
        self._wake.set()

    async def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                try:
                    started = await self._round()
                except RetryLaterError as error:
                    self._log.warning("callbacks wait", error=str(error))
                    await asyncio.sleep(1)
                    continue
                if not started:
                    await self._pause()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._release()

    async def _release(self) -> None:
        """What is left undone goes to another replica at once. Without a database it has to wait for the leases' end."""
        try:
            async with asyncio.timeout(1), self._database.hot(EVERYONE) as connection:
                await queue.release(connection, self._owner)
        except (RetryLaterError, TimeoutError):
            self._log.warning("receivers of callbacks stay leased for a while")

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), IDLE_S)
            await asyncio.sleep(0.005)  # let a few more calls end, so that one transaction records them all
        except TimeoutError:
            pass

    async def _round(self) -> int:
        """Records what has ended, takes what is due, starts it; how many calls were started."""
        done, again, health = self._done[:], self._again[:], self._health
        self._health = {}
        now = self._now()
        budget = IN_FLIGHT - len(self._tasks)
        calls: list[Call] = []
        try:
            async with self._database.hot(EVERYONE) as connection:
                await tune_probes(connection)
                await queue.finish(connection, done, again, now)
                await queue.record_health(connection, health)
                room = self._room(await queue.targets(connection), budget, now) if budget > 0 else {}
                room = await self._leased(connection, room, now)
                if room:
                    held = self._held.difference((d.id for d in done), (a[0] for a in again))
                    calls = await queue.claim(connection, room, held, now)
                by_endpoint, by_tenant = await queue.receivers_of(connection, calls, now) if calls else ({}, {})
                for tenant in {c.tenant_id for c in calls if c.endpoint_id is None} - by_tenant.keys():
                    by_tenant[tenant] = [
                        await queue.make_default_secret(connection, tenant, self._box.close(tenant, new_secret()), now)
                    ]
        except BaseException:
            self._health = health | self._health  # counts of a moment may be lost with it, never the last outcome
            self._leases.clear()
            raise
        # Only now is it on record; whatever ended meanwhile stands behind it in these lists.
        del self._done[: len(done)], self._again[: len(again)]
        self._held.difference_update((d.id for d in done), (a[0] for a in again))
        self._held.update(call.id for call in calls)
        started = 0
        for receiver, group in self._grouped(calls, by_endpoint, by_tenant):
            started += 1
            self._running[group[0].target] += 1
            task = asyncio.create_task(self._make(receiver, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return started

    async def _leased(self, connection: Any, room: dict[str, int], now: int) -> dict[str, int]:
        """Those of the receivers that are this worker's to call."""
        due = [target for target in room if self._leases.get(target, 0) < now + queue.RENEW_MS]
        if due:
            mine = await queue.lease(connection, due, self._owner, now)
            for target in due:
                self._leases.pop(target, None)
            self._leases.update(dict.fromkeys(mine, now + queue.LEASE_MS))
        return {target: count for target, count in room.items() if target in self._leases}

    def _grouped(
        self, calls: list[Call], by_endpoint: dict[str, Receiver], by_tenant: dict[str, list[bytes]]
    ) -> Iterator[tuple[Receiver, list[Call]]]:
        """What goes out in one request each."""
        batches: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            if call.endpoint_id is None:
                yield Receiver(call.tenant_id, by_tenant[call.tenant_id]), [call]
            elif call.endpoint_id not in by_endpoint:
                self._done.append(Done(call.id, "given_up", call.tries))  # its endpoint was deleted meanwhile
            else:
                batches[call.endpoint_id].append(call)
        for endpoint_id, group in batches.items():
            receiver = by_endpoint[endpoint_id]
            for start in range(0, len(group), receiver.batch):
                yield receiver, group[start : start + receiver.batch]

    def _room(self, targets: dict[str, int], budget: int, now: int) -> dict[str, int]:
        """How many callbacks each target may get: a fair share of the calls, and no more than its circuit lets through."""
        names = list(targets)
        random.shuffle(names)  # when there are more targets than room, each gets its turn
        share = max(1, budget // max(1, len(names)))
        room = {}
        for target in names:
            circuit = self._circuits.get(target)
            free = (PER_TARGET if circuit is None else circuit.room(now, PER_TARGET)) - self._running[target]
            if free > 0 and budget > 0:
                given = min(free, share, budget)
                # Batches are large already: a few at a time, so that a claim stays short and none is leased for long.
                room[target] = given if targets[target] == 1 else min(given, BATCHES_AT_ONCE) * targets[target]
                budget -= given
        return room

    async def _make(self, receiver: Receiver, calls: list[Call]) -> None:
        first = calls[0]
        target = first.target
        try:
            outcome = await self._post(receiver, calls)
        except Exception:
            self._log.exception("callback failed", message_id=first.message_id)
            outcome = "retry"
        finally:
            self._running[target] -= 1
            if not self._running[target]:
                del self._running[target]
        now = self._now()
        self._note(receiver.tenant_id, target, outcome, now)
        for call in calls:
            ended = outcome
            if outcome == "retry":
                due = next_try_ms(call.tries + 1, now, random.random())
                if due is None:
                    ended = "given_up"
                else:
                    self._again.append((call.id, call.tries + 1, due))
                    continue
            self._done.append(Done(call.id, ended, call.tries + 1))
            if ended != "delivered":
                self._log.warning(
                    "callback ends undelivered", outcome=ended, message_id=call.message_id, endpoint=call.endpoint_id
                )
        self._outcomes.add(len(calls), {"outcome": outcome})
        self._wake.set()

    async def _post(self, receiver: Receiver, calls: list[Call]) -> str:
        secrets = [self._box.open(receiver.tenant_id, closed) for closed in receiver.secrets]
        items = [Item(call.webhook_id, call.body) for call in calls]
        request = call_of(receiver.shape, receiver.batch, calls[0].url, items, secrets[0])
        if request is None:
            return "delivered"  # the shape has no word for this state
        return await self._poster.post(request, secrets, self._now() / 1000)

    def _note(self, tenant: str, target: str, outcome: str, now: int) -> None:
        """What a receiver's answer says about its health."""
        health = self._health.setdefault(target, Health(tenant))
        health.last_outcome = outcome
        if outcome == "delivered":
            self._circuits.pop(target, None)
            health.failures, health.paused_until, health.delivered_at = 0, 0, now
            health.delivered += 1
            return
        health.failed += 1
        health.failed_at = now
        if outcome == "retry":
            circuit = self._circuits.setdefault(target, Circuit())
            was_open = circuit.open_until
            circuit.failed(now)
            health.failures, health.paused_until = circuit.failures, circuit.open_until
            if circuit.open_until and not was_open:
                self._log.error("a receiver of callbacks is slowed down: it keeps failing", tenant=tenant)

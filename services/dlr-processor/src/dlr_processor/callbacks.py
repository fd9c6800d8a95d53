"""The worker that makes callbacks: in order for one message, many at once for one receiver, none of whom delays another."""

import asyncio
import random
from collections import Counter

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from dlr_processor.adapters import callback_queue as queue
from dlr_processor.adapters.callback_queue import Call
from dlr_processor.adapters.ledger import tune_probes
from dlr_processor.adapters.post_callback import CallbackPoster
from dlr_processor.adapters.secrets import SecretBox, new_secret
from dlr_processor.domain.retries import Circuit, next_try_ms

IN_FLIGHT = 200
PER_TARGET = 64  # 2,000 calls a second need 40 under way at a receiver that answers in 20 ms
IDLE_S = 1.0  # how late a retry may be noticed


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
        self._done: list[int] = []
        self._again: list[tuple[int, int, int]] = []

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

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), IDLE_S)
            await asyncio.sleep(0.005)  # let a few more calls end, so that one transaction records them all
        except TimeoutError:
            pass

    async def _round(self) -> int:
        """Records what has ended, takes what is due, starts it; how many were started."""
        done, again = self._done[:], self._again[:]
        now = self._now()
        budget = IN_FLIGHT - len(self._tasks)
        calls: list[Call] = []
        async with self._database.hot(EVERYONE) as connection:
            await tune_probes(connection)
            await queue.finish(connection, done, again)
            room = self._room(await queue.targets(connection), budget, now) if budget > 0 else {}
            if room:
                calls = await queue.claim(connection, room, now)
            by_endpoint, by_tenant = await queue.secrets_of(connection, calls, now) if calls else ({}, {})
            for tenant in {c.tenant_id for c in calls if c.endpoint_id is None} - by_tenant.keys():
                by_tenant[tenant] = [
                    await queue.make_default_secret(connection, tenant, self._box.close(tenant, new_secret()), now)
                ]
        # Only now is it on record; whatever ended meanwhile stands behind it in these lists.
        del self._done[: len(done)], self._again[: len(again)]
        for call in calls:
            closed = by_tenant[call.tenant_id] if call.endpoint_id is None else None
            if closed is None:
                tenant, closed = by_endpoint.get(call.endpoint_id or "", ("", []))
            if not closed:
                self._done.append(call.id)  # its endpoint was deleted meanwhile
                continue
            self._running[call.target] += 1
            task = asyncio.create_task(self._make(call, [self._box.open(call.tenant_id, c) for c in closed]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(calls)

    def _room(self, targets: list[str], budget: int, now: int) -> dict[str, int]:
        """How many calls each target may get: a fair share, and no more than its circuit lets through."""
        random.shuffle(targets)  # when there are more targets than room, each gets its turn
        share = max(1, budget // max(1, len(targets)))
        room = {}
        for target in targets:
            circuit = self._circuits.get(target)
            free = (PER_TARGET if circuit is None else circuit.room(now, PER_TARGET)) - self._running[target]
            if free > 0 and budget > 0:
                room[target] = min(free, max(share, 1), budget)
                budget -= room[target]
        return room

    async def _make(self, call: Call, secrets: list[str]) -> None:
        try:
            outcome = await self._poster.post(call.url, call.webhook_id, call.body, secrets, self._now() / 1000)
        except Exception:
            self._log.exception("callback failed", message_id=call.message_id)
            outcome = "retry"
        finally:
            self._running[call.target] -= 1
            if not self._running[call.target]:
                del self._running[call.target]
        now = self._now()
        if outcome == "retry":
            self._circuits.setdefault(call.target, Circuit()).failed(now)
            due = next_try_ms(call.tries + 1, now, random.random())
            if due is None:
                outcome = "given_up"
                self._done.append(call.id)
            else:
                self._again.append((call.id, call.tries + 1, due))
        else:
            if outcome == "delivered":
                self._circuits.pop(call.target, None)
            self._done.append(call.id)
        if outcome in ("given_up", "refused"):
            self._log.warning(
                "callback ends undelivered", outcome=outcome, message_id=call.message_id, endpoint=call.endpoint_id
            )
        self._outcomes.add(1, {"outcome": outcome})
        self._wake.set()

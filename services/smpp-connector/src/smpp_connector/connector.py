"""One carrier's connector: leases, binds, feeds, and the end of all of them in order."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from uuid import uuid4

from shared.carriers.profile import CarrierProfile, StatusClass
from shared.contracts.events import CarrierHealth
from shared.contracts.fields import SYSTEM_TENANT
from shared.contracts.topics import HEALTH, Lane, submit
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.errors import RetryLaterError
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from smpp_connector.adapters.claims import Claims
from smpp_connector.adapters.feed import Feed
from smpp_connector.adapters.id_rules import IdRules
from smpp_connector.adapters.inbound_parts import InboundParts
from smpp_connector.adapters.leases import RENEW_EVERY_S, Leases, SlotReport, steady_now
from smpp_connector.adapters.link import Timers
from smpp_connector.bind import Bind, Shared
from smpp_connector.carriers_file import Carrier
from smpp_connector.counts import Counts
from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.claim_rules import Outcome
from smpp_connector.domain.consent import OptOuts
from smpp_connector.domain.health import carrier_state
from smpp_connector.domain.settlement import Settlement, about_of
from smpp_connector.domain.waiting_room import LANES, Waiting, WaitingRoom
from smpp_connector.id_rule import IdRuleKeeper
from smpp_connector.inbox import Inbox
from smpp_connector.recorder import Recorder
from smpp_connector.settings import Settings

HEALTH_EVERY_S = 1.0
WATCH_S = 0.2
STANDBY_AFTER_S = 10.0  # without a lease for this long we leave the records to whoever has one
MOST_WAITING = 2000
RETURN_AT_ONCE = 500
FORGET_EVERY_S = 600.0
CLOSE_MARGIN_S = 1.5  # of the grace is kept for unbind, last commits and the release of the leases


class Connector:
    def __init__(
        self,
        *,
        settings: Settings,
        carrier: Carrier,
        profile: CarrierProfile,
        database: Database,
        publisher: Publisher,
        schemas: SchemaIds,
        metrics: Metrics,
        opt_outs: OptOuts,
        campaigns: Campaigns,
        bulk_allowed: Callable[[], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._settings, self._carrier, self._profile = settings, carrier, profile
        self._database, self._publisher, self._schemas, self._metrics = database, publisher, schemas, metrics
        self._opt_outs, self._campaigns = opt_outs, campaigns
        self._bulk_allowed, self._now_ms = bulk_allowed, now_ms
        self._owner = f"{settings.service_name}-{uuid4()}"
        self._leases = Leases(database, carrier.id, self._owner)
        self._claims = Claims(settings.database_url.get_secret_value(), carrier.id, settings.service_name)
        self._counts = Counts(metrics, carrier.id)
        self._id_rule = IdRuleKeeper(
            IdRules(database, carrier.id), carrier.id, carrier.id_rule, profile, self._use_profile
        )
        self._room = WaitingRoom()
        self._binds: dict[int, tuple[Bind, asyncio.Task[None]]] = {}
        self._wanted = min(carrier.binds, settings.bind_slots or carrier.binds)
        self._swept = True
        self._sweep_due = asyncio.Event()
        self._health_due = asyncio.Event()
        self._binds_seen_up = 0
        self._down_since: float | None = None
        self._leased_at = float("-inf")
        self._looked_for_leases = False
        self._draining = False
        self._log = logger(carrier=carrier.id, owner=self._owner)
        self._binds_up = metrics.gauge("relais_smpp_binds_up")
        self._window_used = metrics.gauge("relais_smpp_window_used")
        self._failed: asyncio.Future[None] | None = None
        self._on_the_side: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """The database and the publisher are open by now."""
        await self._claims.open()
        settings, carrier = self._settings, self._carrier
        loop = asyncio.get_running_loop()
        vault = Vault(self._database.pool, settings.master)
        self._recorder = Recorder(
            self._claims, self._publisher, self._room, self._finish, carrier.id, self._metrics, loop.time, self._now_ms,
            self._wake_binds,
        )  # fmt: skip
        self._inbox = Inbox(
            carrier=carrier.id, profile=self._profile, vault=vault, parts=InboundParts(self._database, carrier.id),
            pairs=self._id_rule.pairs, delay=self._counts.receipts, publisher=self._publisher, opt_outs=self._opt_outs,
            master=settings.master, metrics=self._metrics, now_ms=self._now_ms,
        )  # fmt: skip
        self._shared = Shared(
            carrier=carrier,
            profile=self._profile,
            timers=Timers(
                settings.session_init_s,
                settings.response_timeout_s,
                settings.enquire_link_s,
                settings.enquire_answer_s,
                carrier.inactivity_s,
            ),
            tls=tls_context(carrier),
            room=self._room,
            claims=self._claims,
            recorder=self._recorder,
            vault=vault,
            opt_outs=self._opt_outs,
            campaigns=self._campaigns,
            bulk_allowed=self._bulk_allowed,
            deliveries=self._inbox,
            pairs=self._id_rule.pairs,
            bury=self._bury,
            counts=self._counts,
            state_changed=self._state_changed,
            now_ms=self._now_ms,
        )
        await self._id_rule.open()
        most = min(MOST_WAITING, max(200, 4 * carrier.window * carrier.binds))
        self._feeds = {
            lane: Feed(
                group=f"smpp-connector.{carrier.id}.{lane}", topic=submit(lane).named(carrier.id), lane=lane, push=self._push,
                leave=self._room.leave, waiting=lambda lane=lane: self._room.waiting(lane), most_waiting=most,  # type: ignore[misc]
                bootstrap=settings.kafka_bootstrap, schemas=self._schemas, publisher=self._publisher, metrics=self._metrics,
                commit_every_s=settings.commit_every_s,
            )
            for lane in LANES
        }  # fmt: skip

    async def close(self) -> None:
        await self._claims.close()

    @property
    def ready(self) -> bool:
        """Consuming, or standing by for a lease."""
        if not self._looked_for_leases:
            return False
        return not self._binds or all(feed.ready and feed.stuck is None for feed in self._feeds.values())

    async def run(self) -> None:
        """Until cancelled; ends with the error of whatever part ended first."""
        parts = [
            self._keep_leases(), self._watch_leases(), self._keep_feeds(), self._tell_health(), self._return_while_down(),
            self._sweep_when_due(), self._forget_old(), self._recorder.run_recording(), self._recorder.run_publishing(),
            self._inbox.run(), self._id_rule.run(),
        ]  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    async def shown_id_rule(self) -> dict[str, Any]:
        """For the HTTP door."""
        return self._id_rule.shown()

    # Between the parts.

    def _use_profile(self, profile: CarrierProfile) -> None:
        self._shared.profile = self._inbox.profile = profile

    def _push(self, record: Waiting) -> None:
        self._room.push(record)
        self._wake_binds()

    def _wake_binds(self) -> None:
        for bind, _ in self._binds.values():
            bind.wake()

    def _finish(self, records: Iterable[Waiting]) -> None:
        lanes: dict[Lane, list[Waiting]] = {lane: [] for lane in LANES}
        for record in records:
            lanes[record.lane].append(record)
        for lane, found in lanes.items():
            if found:
                self._feeds[lane].finish(found)

    def _bury(self, record: Waiting, why: str) -> None:
        self._aside(self._feeds[record.lane].bury(record, why))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._on_the_side.add(task)
        task.add_done_callback(self._on_the_side.discard)

    def _state_changed(self) -> None:
        up = sum(bind.up for bind, _ in self._binds.values())
        now = time.monotonic()
        if up:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        if up != self._binds_seen_up:
            self._binds_seen_up = up
            self._health_due.set()

    # Leases and binds.

    async def _keep_leases(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._renew_and_acquire()
            except RetryLaterError as error:
                self._log.warning("leases wait", error=str(error))
            await asyncio.sleep(max(0.05, RENEW_EVERY_S - (time.monotonic() - started)))

    async def _renew_and_acquire(self) -> None:
        if self._binds:
            reports = [SlotReport(b.lease, b.up, b.oldest_open_s) for b, _ in self._binds.values()]
            await self._leases.renew(reports, swept=self._swept)
        if len(self._binds) < self._wanted and not self._draining:
            if not self._binds:
                self._down_since = None  # the time without a lease is not the carrier's
            for lease in await self._leases.acquire(self._carrier.binds, self._wanted - len(self._binds)):
                self._swept = False
                self._sweep_due.set()
                bind = Bind(lease, self._shared)
                task = asyncio.create_task(bind.run(), name=f"bind {lease.slot}")
                self._binds[lease.slot] = (bind, task)
                self._log.info("bind slot leased", bind=lease.slot, epoch=lease.epoch)
            self._state_changed()
        self._looked_for_leases = True

    async def _watch_leases(self) -> None:
        """Closes the bind of a lease that may be over: somebody else may be using it."""
        while True:
            await asyncio.sleep(WATCH_S)
            now = steady_now()
            for slot, (bind, task) in list(self._binds.items()):
                if task.done():
                    task.result()
                if not bind.lease.valid(now):
                    self._log.warning("lease lost; its bind is closed", bind=slot)
                    bind.lease.lost = True
                    del self._binds[slot]
                    await bind.end(politely=False)
                    self._state_changed()
            if self._binds:
                self._leased_at = time.monotonic()
            if self._room.abandoned:
                abandoned, self._room.abandoned = self._room.abandoned, []
                self._aside(self._recorder.abandon(abandoned))

    async def _sweep_when_due(self) -> None:
        while True:
            await self._sweep_due.wait()
            self._sweep_due.clear()
            try:
                await self._recorder.sweep()
                self._swept = not self._sweep_due.is_set()
            except RetryLaterError as error:
                self._log.warning("sweep waits", error=str(error))
                self._sweep_due.set()
                await asyncio.sleep(1)

    # Feeds.

    async def _keep_feeds(self) -> None:
        """Records are taken only while we have a bind to write them on, or may soon have one again."""
        while True:
            while not self._binds or self._draining:  # noqa: ASYNC110 - leases change by the second
                await asyncio.sleep(WATCH_S / 2)
            async with asyncio.TaskGroup() as group:
                for feed in self._feeds.values():
                    group.create_task(feed.run())
                while self._binds or time.monotonic() - self._leased_at < STANDBY_AFTER_S:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(WATCH_S)
                self._log.warning("no bind slot is free: another process has them; standing by")
                for feed in self._feeds.values():
                    feed.stop()

    async def _return_while_down(self) -> None:
        """A carrier that cannot be reached keeps nobody waiting: what waits goes back to the router."""
        while True:
            await asyncio.sleep(0.05)
            down = self._down_since
            if down is None or not self._binds or time.monotonic() - down <= self._settings.down_limit_s:
                continue
            if self._draining or self._recorder.backlog > RETURN_AT_ONCE:
                continue
            self._room.release_due(asyncio.get_running_loop().time())
            for lane in LANES:
                for _ in range(RETURN_AT_ONCE):
                    record = self._room.take(lane)
                    if record is None:
                        break
                    about = about_of(record.request, self._carrier.sender)
                    settlement = Settlement(*record.key, 0, Outcome.RETURNED, "carrier_down", self._now_ms(), about)
                    self._recorder.unwritten(record, settlement)

    # Telling others.

    async def _tell_health(self) -> None:
        told_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._health_due.wait(), max(0.0, told_at + HEALTH_EVERY_S - time.monotonic()))
            self._health_due.clear()
            now = time.monotonic()
            span, told_at = max(now - told_at, 0.001), now
            if not self._binds:
                continue
            try:
                await self._publish_health(span)
            except RetryLaterError as error:
                self._log.warning("health waits", error=str(error))
                await asyncio.sleep(HEALTH_EVERY_S)

    async def _publish_health(self, span_s: float) -> None:
        carrier, binds = self._carrier, [bind for bind, _ in self._binds.values()]
        written, latency_ms, classes = self._counts.take()
        delay = self._counts.receipts.take()
        unknown, self._recorder.unknown_seen = self._recorder.unknown_seen, 0
        ours = sum(bind.up for bind in binds)
        up = ours if len(binds) == carrier.binds else max(ours, await self._leases.binds_up())
        used = sum(b.window.used for b in binds) / sum(b.window.size for b in binds)
        labels = {"carrier": carrier.id}
        self._binds_up.set(ours, labels)
        self._window_used.set(used, labels)
        now_ms = self._now_ms()
        event = CarrierHealth(
            event_id=f"{carrier.id}:health:{self._owner}:{now_ms}",
            tenant_id=SYSTEM_TENANT,
            occurred_at=now_ms,
            carrier=carrier.id,
            state=carrier_state(up, carrier.binds),
            binds_up=up,
            binds_wanted=carrier.binds,
            window_used=round(min(1.0, used), 4),
            latency_ms=round(latency_ms, 2),
            rate=round(written / span_s, 1),
            limit=carrier.tps,
            throttled=classes.get(StatusClass.THROTTLE, 0),
            errors={str(k): v for k, v in classes.items() if k is not StatusClass.OK},
            unknown=unknown,
            alarm=next((bind.alarm for bind in binds if bind.alarm), None),
            receipt_delay_ms=None if delay is None else round(delay, 1),
        )
        await self._publisher.publish([self._publisher.record(HEALTH.name, carrier.id, event)])

    async def _forget_old(self) -> None:
        while True:
            try:
                while await self._claims.forget_old(self._settings.claims_kept_days):  # noqa: ASYNC110 - a breath for the database
                    await asyncio.sleep(0.2)
            except RetryLaterError as error:
                self._log.warning("old claims wait to be forgotten", error=str(error))
            await asyncio.sleep(FORGET_EVERY_S)

    # The end.

    async def drain(self) -> None:
        """Stop taking, wait for the window as long as the grace allows, unbind, commit, leave."""
        self._draining = True
        if not hasattr(self, "_feeds"):
            return
        binds = [bind for bind, _ in self._binds.values()]
        for bind in binds:
            bind.drain()
        patience = max(0.5, self._settings.shutdown_grace_s - CLOSE_MARGIN_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(bind.window.used for bind in binds):  # noqa: ASYNC110 - only at the end
                    await asyncio.sleep(0.01)
                await self._inbox.idle()
        await asyncio.gather(*(bind.end(politely=True) for bind in binds))
        # What had no answer is unknown by now; it is recorded and told before we go.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_MARGIN_S / 2):
                await self._recorder.idle()
        for feed in self._feeds.values():
            await feed.commit_now()
            feed.stop()
        for bind in binds:
            with contextlib.suppress(RetryLaterError):
                await self._leases.release(bind.lease)


def tls_context(carrier: Carrier) -> ssl.SSLContext | None:
    """With verification of certificate and name; None where the carrier speaks plain SMPP."""
    if not carrier.tls:
        return None
    context = ssl.create_default_context(cafile=str(carrier.tls_ca_file) if carrier.tls_ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if carrier.tls_minimum_version == "1.3" else ssl.TLSVersion.TLSv1_2
    if carrier.tls_certificate_file is not None:
        context.load_cert_chain(carrier.tls_certificate_file, carrier.tls_key_file)
    return context

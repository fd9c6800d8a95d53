"""One bind slot: its link or links, its window and pace, and the loop that claims and writes.

Nothing is written without a claim made under this slot's lease, and nothing when the lease may be over.
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from shared.carriers.profile import CarrierProfile, StatusClass
from shared.crypto.sealing import CannotOpenError, Kind
from shared.crypto.vault import Vault
from shared.errors import RetryLaterError
from shared.smpp import constants as c
from shared.smpp.pdu import DeliverSm
from shared.telemetry.logs import logger

from smpp_connector.adapters.claims import Claims, Wanted
from smpp_connector.adapters.leases import Lease, steady_now
from smpp_connector.adapters.link import Account, Link, Timers
from smpp_connector.carriers_file import Carrier
from smpp_connector.counts import Counts
from smpp_connector.domain.answers import (
    NO_ANSWER,
    NOT_WRITTEN,
    Repeat,
    Settle,
    StopBind,
    TryAgain,
    judge,
)
from smpp_connector.domain.backoff import REFUSED_MOST_S, bind_alarm, reconnect_pause_s, refused_pause_s
from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.claim_rules import Outcome
from smpp_connector.domain.consent import OptOuts
from smpp_connector.domain.look_again import GATHER_S, IDLE_S, look_again
from smpp_connector.domain.pace import Pace
from smpp_connector.domain.pair_ids import PairIds
from smpp_connector.domain.sender_pace import SenderPace
from smpp_connector.domain.settlement import Settlement, about_of, pack_about
from smpp_connector.domain.submit_frames import CannotBeSentError, SubmitFrames, Validity, reference_of
from smpp_connector.domain.waiting_room import Waiting, WaitingRoom
from smpp_connector.domain.window import Window, take_batch
from smpp_connector.domain.wire_check import NotYet, wire_check
from smpp_connector.recorder import Recorder

RETRY_S = 0.5
FORGET_S = 900.0
STABLE_S = 5.0  # a bind that held this long, or carried anything, was a good one: the next failure is the first
MOST_BACKLOG = 4  # windows on their way through recorder and brokers, beyond which nothing more is claimed


class Deliveries(Protocol):
    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None: ...


class Shared:
    """What all binds of the process use."""

    def __init__(
        self,
        *,
        carrier: Carrier,
        profile: CarrierProfile,
        timers: Timers,
        tls: ssl.SSLContext | None,
        room: WaitingRoom,
        claims: Claims,
        recorder: Recorder,
        vault: Vault,
        opt_outs: OptOuts,
        campaigns: Campaigns,
        bulk_allowed: Callable[[], bool],
        deliveries: Deliveries,
        pairs: PairIds | None,
        bury: Callable[[Waiting, str], None],
        counts: Counts,
        state_changed: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        """`pairs`: where the ids of answers are learnt from, if they are."""
        self.carrier, self.profile, self.timers, self.tls = carrier, profile, timers, tls
        self.room, self.claims, self.recorder, self.vault = room, claims, recorder, vault
        self.opt_outs, self.campaigns, self.bulk_allowed = opt_outs, campaigns, bulk_allowed
        self.deliveries, self.pairs, self.bury, self.counts = deliveries, pairs, bury, counts
        self.state_changed, self.now_ms = state_changed, now_ms
        self.senders = SenderPace(carrier.sender_tps) if carrier.sender_tps is not None else None


class Bind:
    """Lives as long as its lease."""

    def __init__(self, lease: Lease, shared: Shared) -> None:
        self.lease = lease
        self._s = shared
        self._loop = asyncio.get_running_loop()
        carrier = shared.carrier
        self.window = Window(carrier.window)
        self.pace = Pace(carrier.tps / carrier.binds, self._loop.time())
        self.alarm: str | None = None
        self._validity = Validity(shared.profile)
        self._frames = SubmitFrames(shared.profile)
        self._kinds = ("transceiver",) if carrier.bind == "transceiver" else ("transmitter", "receiver")
        self._links: dict[str, Link] = {}
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._draining = False
        self._open: dict[Waiting, float] = {}  # whose claims may be open under the lease, oldest first
        self._bulk_from = 0.0
        self._blocked_until = 0.0  # the SMSC said that the bind is at fault
        self._log = logger(carrier=carrier.id, bind=lease.slot)

    # What the connector sees.

    @property
    def up(self) -> bool:
        """It can carry messages, receipts included."""
        return all(kind in self._links and self._links[kind].bound for kind in self._kinds)

    @property
    def oldest_open_s(self) -> float:
        """Age of the oldest claim that may be open under the lease."""
        now = self._loop.time()
        for record, since in list(self._open.items()):
            if now - since < FORGET_S or record.bind is self:
                return now - since
            del self._open[record]  # asked for here without an answer, ended elsewhere
        return 0.0

    def wake(self) -> None:
        """There may be something to write."""
        self._wake.set()

    def drain(self) -> None:
        """Nothing more is claimed."""
        self._draining = True

    async def run(self) -> None:
        """Until `end`. Reconnects by itself."""
        pump = asyncio.create_task(self._pump(), name=f"pump {self.lease.slot}")
        try:
            keepers = [asyncio.create_task(self._keep(kind)) for kind in self._kinds]
            await asyncio.wait([pump, *keepers], return_when=asyncio.FIRST_EXCEPTION)
            for task in (pump, *keepers):
                if task.done():
                    task.result()
        finally:
            self._ending.set()
            for task in (pump, *keepers):
                task.cancel()
            for link in self._links.values():
                link.abort("the bind ends")

    async def end(self, *, politely: bool) -> None:
        """Ends `run`: with unbind, or, when the lease may be over, at once."""
        self._draining = True
        self._ending.set()
        if politely:
            await asyncio.gather(*(link.unbind() for link in list(self._links.values())))
        for link in list(self._links.values()):
            link.abort("the lease is over")

    # Links.

    async def _keep(self, kind: str) -> None:
        failures = refusals = 0
        while not self._ending.is_set():
            now = self._loop.time()
            if now < self._blocked_until:
                await self._sleep(self._blocked_until - now)
                continue
            carrier, profile = self._s.carrier, self._s.profile
            account = Account(
                carrier.system_id, carrier.password.get_secret_value(), carrier.system_type, profile.interface_version
            )
            link = Link(self, kind, account, self._s.timers, self._loop.time)
            self._links[kind] = link
            opened = self._loop.time()
            try:
                await link.open(
                    carrier.host,
                    carrier.port,
                    self._s.tls,
                    server_name=carrier.tls_server_name,
                    from_address=carrier.from_address,
                )
                await link.closed()
            except ssl.SSLCertVerificationError:
                self._set_alarm("the carrier's certificate does not verify")
                refusals += 1
                pause = refused_pause_s(c.ESME_RBINDFAIL, refusals, random.random())
            except (OSError, TimeoutError) as error:
                failures += 1
                pause = reconnect_pause_s(failures, random.random())
                self._log.warning("no connection to the carrier", error=type(error).__name__, pause_s=round(pause, 2))
            else:
                if link.bind_status is not None:
                    refusals += 1
                    self._set_alarm(bind_alarm(link.bind_status))
                    pause = refused_pause_s(link.bind_status, refusals, random.random())
                else:
                    refusals = 0
                    good = link.useful or self._loop.time() - opened > STABLE_S
                    failures = 1 if good else failures + 1
                    pause = reconnect_pause_s(failures, random.random())
                if not self._ending.is_set():
                    self._log.warning("link closed", kind=kind, reason=link.reason, pause_s=round(pause, 2))
            await self._sleep(pause)

    async def _sleep(self, pause: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), pause)

    def _set_alarm(self, sentence: str | None) -> None:
        if sentence is not None and sentence != self.alarm:
            self._log.error("bind needs a person", alarm=sentence)
        self.alarm = sentence
        self._s.state_changed()

    def link_bound(self, link: Link) -> None:
        self._log.info("bound", kind=link.kind)
        if self.up:
            self.alarm = None
        self._s.state_changed()
        self._wake.set()

    def link_closed(self, link: Link) -> None:
        self._s.state_changed()

    def writable(self) -> None:
        self._wake.set()

    def congested(self, state: int) -> None:
        self.pace.congested(state, self._loop.time())

    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None:
        self._s.deliveries.delivered(link, pdu, frame)

    @property
    def _outgoing(self) -> Link | None:
        """The link to write on, if anything may be written now."""
        link = self._links.get(self._kinds[0])
        if link is None or not link.bound or not link.writable or not self.lease.valid(steady_now()):
            return None
        return link

    # The loop that writes.

    async def _pump(self) -> None:
        while not self._ending.is_set():
            self._wake.clear()
            pause = await self._turn()
            if pause > 0:  # no wait_for: it costs a task and two turns of the loop, each time
                timer = self._loop.call_later(pause, self._wake.set)
                await self._wake.wait()
                timer.cancel()

    async def _turn(self) -> float:
        """Claims and writes what may go now; answers how long there is nothing to do unless woken."""
        s = self._s
        if self._draining or self._outgoing is None:
            return IDLE_S
        if s.recorder.backlog > MOST_BACKLOG * s.carrier.window * s.carrier.binds + 1000:
            return GATHER_S
        now = self._loop.time()
        allowed = s.bulk_allowed()
        bulk = allowed and now >= self._bulk_from
        batch = take_batch(s.room, self.window, self.pace, now, bulk_allowed=bulk, senders=s.senders)
        if batch:
            await self._send(batch)
        nap = look_again(
            self.pace,
            now=self._loop.time(),
            took=bool(batch),
            allowed=allowed,
            tried_bulk=bulk,
            bulk_from=self._bulk_from,
            next_due=s.room.next_due,
        )
        self._bulk_from = nap.bulk_from
        return nap.pause_s

    async def _send(self, batch: list[Waiting]) -> None:
        s = self._s
        going = self._checked(batch)
        if not going:
            return
        try:
            await s.vault.load([e for r in going for e in (r.request.number, r.request.text)])
        except RetryLaterError as error:
            self._later(going, error)
            return
        going = self._framed(going)
        if not going:
            return
        token = random.getrandbits(62)
        for record in going:
            record.bind, record.slot, record.epoch = self, self.lease.slot, self.lease.epoch
            self._open.setdefault(record, self._loop.time())
        new, free, repeated = self._wanted(going)
        try:
            mine = await s.claims.arm(new, free, self.lease.slot, self.lease.epoch, token)
        except RetryLaterError as error:
            for record in going:
                record.unheard = (*record.unheard, token)
            self._later(going, error)
            return
        written: list[Waiting] = []
        refused: list[Waiting] = []
        for record in going:
            (written if record.key in mine and record not in repeated else refused).append(record)
        self._write(written)
        if refused:
            for record in refused:
                self._let_go(record)
            await s.recorder.resolve(refused)

    def _wanted(self, going: Sequence[Waiting]) -> tuple[list[Wanted], list[Wanted], list[Waiting]]:
        """Claims to make, claims to take again, and records whose key stands in the batch already."""
        new: list[Wanted] = []
        free: list[Wanted] = []
        repeated: list[Waiting] = []
        seen: set[tuple[str, int]] = set()
        sender = self._s.carrier.sender
        for record in going:
            if record.key in seen:
                repeated.append(record)
                continue
            seen.add(record.key)
            about = pack_about(about_of(record.request, sender)) if not record.free else b""
            (free if record.free else new).append(Wanted(record.key, record.request.tenant_id, about))
        return new, free, repeated

    def _checked(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Those that may go now; the others are ended or put back."""
        s, now_ms = self._s, self._s.now_ms()
        going = []
        for record in batch:
            stop = wire_check(record.request, now_ms, s.opt_outs, s.campaigns)
            if stop is None:
                going.append(record)
                continue
            self._let_go(record)
            if isinstance(stop, NotYet):
                s.room.put_back(record, self._loop.time() + stop.pause_s)
            else:
                s.recorder.unwritten(record, self._settlement(record, stop.outcome, stop.reason))
        return going

    def _framed(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Opens number and text and makes the submit_sm of those that can be sent and have room."""
        s, now_ms = self._s, self._s.now_ms()
        going = []
        for record in batch:
            request = record.request
            try:
                number = s.vault.open(request.tenant_id, Kind.NUMBER, request.number)
                text = s.vault.open(request.tenant_id, Kind.TEXT, request.text)
                record.frames = self._frames(
                    number,
                    text,
                    request.sender or s.carrier.sender,
                    reference=reference_of(request.message_id),
                    validity_period=self._validity(request.not_after, now_ms),
                    purpose=request.purpose,
                )
            except CannotOpenError as error:
                self._let_go(record)
                s.room.done(record)
                s.bury(record, str(error))
                continue
            except CannotBeSentError as error:
                self._let_go(record)
                s.recorder.unwritten(record, self._settlement(record, Outcome.DROPPED, error.reason))
                continue
            if len(record.frames) > record.room:  # more than announced: it needs that room first
                self._let_go(record)
                record.room = len(record.frames)
                record.frames = []
                s.room.put_back(record)
                continue
            going.append(record)
        return going

    def _later(self, records: Sequence[Waiting], error: RetryLaterError) -> None:
        """Nothing was written; the same again when what is away is back."""
        self._log.warning("claims wait", error=str(error), messages=len(records))
        due = self._loop.time() + (error.after_s or RETRY_S)
        for record in reversed(records):
            record.frames = []
            self.window.vacate(record.room)
            self.pace.spend(-record.room)
            record.bind = None
            self._s.room.put_back(record, due)

    def _let_go(self, record: Waiting) -> None:
        """Taken, and not going out here."""
        self.window.vacate(record.room)
        self.pace.spend(-record.room)
        self._open.pop(record, None)
        record.bind = None

    def _write(self, records: Sequence[Waiting]) -> None:
        """Claimed just now; written unless the world has changed while the claim was made."""
        s, now_ms = self._s, self._s.now_ms()
        link = self._outgoing
        parts: list[tuple[Waiting, int]] = []
        for record in records:
            record.unheard = ()
            stop = wire_check(record.request, now_ms, s.opt_outs, s.campaigns)
            if link is None or isinstance(stop, NotYet):
                s.recorder.freed(record, self._settlement(record, Outcome.FREE, None), 0.0)
                continue
            if stop is not None:
                s.recorder.answered(record, self._settlement(record, stop.outcome, stop.reason))
                continue
            count = len(record.frames)
            first = min(count, self.window.size)
            record.answers = [None] * count
            record.expected = first
            record.unsent = list(range(first, count))
            if s.pairs is not None:
                s.pairs.written(record.request.number_hash, count, self._loop.time())
            parts += [(record, part) for part in range(first)]
        if link is not None and parts:
            link.submit(parts)
            s.counts.written += len(parts)

    # Answers.

    def part_answered(
        self, record: Waiting, part: int, command_status: int, message_id: str | None, latency_s: float
    ) -> None:
        s = self._s
        status_class = s.profile.classify(command_status) if command_status >= 0 else None
        taken = status_class is StatusClass.OK
        carrier_id = s.profile.canonical_id_from_response(message_id) if taken and message_id else None
        if s.pairs is not None:
            s.pairs.answered(record.request.number_hash, message_id if taken else None)
        record.answers[part] = (command_status, carrier_id)
        record.expected -= 1
        if status_class is not None:
            s.counts.answered(status_class, latency_s)
            if carrier_id:
                s.counts.receipts.taken(carrier_id, self._loop.time())
            if status_class is StatusClass.THROTTLE:
                self.pace.throttled(self._loop.time())
        if record.unsent:
            link = self._outgoing
            if taken and link is not None:
                record.expected += 1
                link.submit([(record, record.unsent.pop(0))])
                s.counts.written += 1
                return
            for unsent in record.unsent:
                record.answers[unsent] = (NOT_WRITTEN, None)
                if s.pairs is not None:
                    s.pairs.answered(record.request.number_hash, None)
            record.unsent = []
        if record.expected == 0:
            self._judge(record)

    def _judge(self, record: Waiting, *, again: bool = True) -> None:
        s = self._s
        answers = [a if a is not None else (NO_ANSWER, None) for a in record.answers]
        not_after = record.request.not_after if again else 0
        verdict = judge(answers, s.profile, tries=record.tries, now_ms=s.now_ms(), not_after=not_after)
        if isinstance(verdict, Settle):
            settlement = self._settlement(record, verdict.outcome, verdict.reason)
            settlement.answers = answers
            record.frames = []
            s.recorder.answered(record, settlement)
        elif isinstance(verdict, TryAgain):
            record.tries += verdict.temporary
            record.frames = []
            s.recorder.freed(record, self._settlement(record, Outcome.FREE, None), verdict.pause_s)
        elif isinstance(verdict, Repeat):
            record.tries += 1
            self._loop.call_later(verdict.pause_s, self._repeat, record, verdict.parts)
        elif isinstance(verdict, StopBind):
            record.frames = []
            s.recorder.freed(record, self._settlement(record, Outcome.FREE, None), 0.0)
            self._stop_over(verdict.command_status)

    def _repeat(self, record: Waiting, parts: Sequence[int]) -> None:
        """The refused parts of a message of which the carrier has others, once more under the same claim."""
        link = self._outgoing
        if link is None or self._draining:
            self._judge(record, again=False)
            return
        record.expected = 0
        first = parts[: self.window.size]
        record.unsent = list(parts[len(first) :])
        record.expected = len(first)
        self.pace.spend(len(parts))
        if self._s.pairs is not None:
            self._s.pairs.written(record.request.number_hash, len(parts), self._loop.time())
        link.submit([(record, part) for part in first])
        self._s.counts.written += len(first)

    def _stop_over(self, command_status: int) -> None:
        """The SMSC says that the bind or its configuration is wrong: no further message is spent on it for a while.

        Unless it only says that the session is over: what we wrote while its unbind was on the way is refused so, and
        an SMSC that lost a session which worked. Then a new bind is the cure.
        """
        link = self._links.get(self._kinds[0])
        if link is None or not link.bound:
            return
        if command_status == c.ESME_RINVBNDSTS and link.useful:
            link.abort("the SMSC has no session for this link any more")
            return
        self._blocked_until = self._loop.time() + REFUSED_MOST_S
        self._set_alarm(f"the carrier refuses to work over this bind: {c.status_name(command_status)}")
        for link in list(self._links.values()):
            link.abort("the SMSC refuses to work over this bind")

    def settled(self, record: Waiting) -> None:
        """The recorder's word: its claim is no longer open."""
        self.window.vacate(record.room)
        self._open.pop(record, None)
        self._wake.set()

    def _settlement(self, record: Waiting, outcome: Outcome, cause: str | None) -> Settlement:
        return Settlement(
            record.message_id,
            record.attempt,
            self.lease.slot,
            outcome,
            cause,
            self._s.now_ms(),
            about_of(record.request, self._s.carrier.sender),
        )

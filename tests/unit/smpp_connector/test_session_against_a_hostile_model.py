"""A bind against the model of a hostile SMSC: whatever it does, in whatever order, nothing is written twice or lost.

The bind, its links, window, pace, waiting room and recorder are the connector's own. Time is virtual: a loop that
jumps to its next timer. The carrier, the claims and the topics are models that remember what must hold.
"""

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import SecretStr
from shared.carriers.registry import load_profile
from shared.contracts.events import MessageReturned, MessageSubmitted
from shared.smpp import constants as c
from shared.smpp.frames import FrameSplitter
from shared.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)
from shared.telemetry.metrics import Metrics
from smpp_connector.adapters.claims import Claims, Key, Recorded, Wanted
from smpp_connector.adapters.leases import Lease
from smpp_connector.adapters.link import Link, Timers
from smpp_connector.bind import Bind, Shared
from smpp_connector.carriers_file import Carrier
from smpp_connector.counts import Counts
from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.claim_rules import Claim, Outcome
from smpp_connector.domain.consent import OptOuts
from smpp_connector.domain.settlement import Settlement, pack_about, pack_answers
from smpp_connector.domain.waiting_room import Place, Waiting, WaitingRoom
from smpp_connector.recorder import Recorder
from smpp_connector_makers import waiting

WINDOW = 4
RESPONSE_TIMEOUT_S = 30
METRICS = Metrics("test")
FOR_EVER_MS = 10**12


class _NoFiles(selectors.SelectSelector):
    """Nothing ever becomes readable; to wait is to move the clock."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for ever"
        self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    now = 1000.0
    smsc: "HostileSmsc"

    def __init__(self) -> None:
        selector = _NoFiles()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    async def create_connection(self, factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        if not self.smsc.listening:
            raise ConnectionRefusedError
        protocol = factory()
        wire = Wire(self.smsc, protocol)
        protocol.connection_made(wire)
        self.smsc.wires.append(wire)
        return wire, protocol


class Wire:
    """The transport of one connection, with the SMSC's side of it."""

    def __init__(self, smsc: "HostileSmsc", link: Link) -> None:
        self.smsc, self.link = smsc, link
        self.splitter = FrameSplitter()
        self.closed = False
        self.deaf = False
        self.unanswered: list[tuple[int, str, float]] = []  # sequence number, which message, and since when
        self.delivered = 0
        self.acknowledged = 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.link.connection_lost, None)

    def write(self, octets: bytes) -> None:
        assert not self.closed
        for frame in self.splitter.feed(octets):
            self.smsc.heard(self, decode(frame))

    def says(self, *pdus: Pdu) -> None:
        self.link.data_received(b"".join(encode(pdu) for pdu in pdus))


class HostileSmsc:
    """What it took and refused: a message is known by its text."""

    def __init__(self) -> None:
        self.listening = True
        self.binds_refused_with = 0
        self.wires: list[Wire] = []
        self.written: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.most_unanswered = 0

    @property
    def alive(self) -> list[Wire]:
        return [wire for wire in self.wires if not wire.closed]

    def heard(self, wire: Wire, pdu: Pdu) -> None:
        if isinstance(pdu, SubmitSm):
            part = pdu.short_message.decode()
            self.written[part] += 1
            assert self.written[part] - self.refused[part] == 1, f"{part} was written again without having been refused"
            now = asyncio.get_running_loop().time()
            wire.unanswered.append((pdu.sequence_number, part, now))
            waited_for = [since for _, _, since in wire.unanswered if since > now - RESPONSE_TIMEOUT_S]
            self.most_unanswered = max(self.most_unanswered, len(waited_for))
        elif isinstance(pdu, DeliverSmResp):
            wire.acknowledged += 1
        elif not wire.deaf:
            asyncio.get_running_loop().call_soon(self._answer, wire, pdu)

    def _answer(self, wire: Wire, pdu: Pdu) -> None:
        number = pdu.sequence_number
        if wire.closed:
            return
        if isinstance(pdu, BindTransceiver):
            status = self.binds_refused_with
            wire.says(
                BindTransceiverResp(sequence_number=number, command_status=status, system_id=None if status else "smsc")
            )
        elif isinstance(pdu, EnquireLink):
            wire.says(EnquireLinkResp(sequence_number=number))
        elif isinstance(pdu, Unbind):
            wire.says(UnbindResp(sequence_number=number))

    def answer(self, wire: Wire, which: int, status: int) -> None:
        number, part, _ = wire.unanswered.pop(which % len(wire.unanswered))
        if status == c.ESME_ROK:
            self.taken[part] += 1
            wire.says(SubmitSmResp(sequence_number=number, message_id=part))
        else:
            self.refused[part] += 1
            wire.says(SubmitSmResp(sequence_number=number, command_status=status))


class ClaimsModel:
    """The table: who may write, and how each attempt ended."""

    def __init__(self) -> None:
        self.rows: dict[Key, Outcome | None] = {}
        self.ends: dict[Key, Settlement] = {}
        self.away = False

    async def arm(
        self, new: Sequence[Wanted], free: Sequence[Wanted], slot: int, epoch: int, token: int
    ) -> set[Key]:  # fmt: skip
        for wanted in new:
            assert wanted.key not in self.rows
        for wanted in free:
            assert self.rows[wanted.key] is Outcome.FREE
        mine = {wanted.key for wanted in (*new, *free)}
        self.rows.update(dict.fromkeys(mine))
        await asyncio.sleep(0.002)
        return mine

    async def record(self, answers: Sequence[Recorded], unwritten: Sequence[Settlement]) -> set[Key]:
        await asyncio.sleep(0.002)
        done = set()
        for settlement in [*(one.settlement for one in answers), *unwritten]:
            key = (settlement.message_id, settlement.attempt)
            assert self.rows.get(key, Outcome.FREE) in (None, Outcome.FREE), "an end is the end"
            self.rows[key] = settlement.outcome
            self.ends[key] = settlement
            done.add(key)
        return done

    async def unknown_before(self, keys: Sequence[Key]) -> set[Key]:
        return set()

    async def look(self, keys: Sequence[Key]) -> dict[Key, Claim]:
        return {
            key: Claim(
                message_id=key[0], attempt=key[1], carrier="model", slot=0, epoch=1, token=0, outcome=self.rows[key],
                owner_alive=True, about=pack_about(s.about), answer=pack_answers(s.answers),
            )
            for key in keys
            if (s := self.ends.get(key))
        }  # fmt: skip


class Topics:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def record(self, topic: str, key: str, event: Any, headers: Any = ()) -> Any:
        return event

    async def publish(self, records: Iterable[Any]) -> None:
        await asyncio.sleep(0.002)
        self.events += records


class OpenVault:
    """What is sealed is plain here."""

    async def load(self, envelopes: Any) -> None: ...

    def open(self, tenant: str, kind: Any, envelope: bytes) -> str:
        return envelope.decode()


class Deliveries:
    """Acknowledges at the next turn; receipts come early, late, twice and for strangers."""

    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None:
        asyncio.get_running_loop().call_soon(link.acknowledge, [pdu.sequence_number])


class Session(RuleBasedStateMachine):
    @initialize(tps=st.sampled_from([5.0, 1000.0]))
    def starts(self, tps: float) -> None:
        self.loop = VirtualLoop()
        self.smsc = self.loop.smsc = HostileSmsc()
        self.claims, self.topics, self.room = ClaimsModel(), Topics(), WaitingRoom()
        self.place, self.pushed, self.finished = Place("p"), list[Waiting](), Counter[int]()
        self.loop.run_until_complete(self._start(tps))

    async def _start(self, tps: float) -> None:
        carrier = Carrier(
            id="model",
            host="localhost",
            port=1,
            system_id="relais",
            password=SecretStr("secret"),
            window=WINDOW,
            tps=tps,
        )
        self.recorder = Recorder(
            cast(Claims, self.claims), cast(Any, self.topics), self.room, self._finish, "model", METRICS, self.loop.time,
            self._now_ms, self._wake,
        )  # fmt: skip
        shared = Shared(
            carrier=carrier, profile=load_profile("plain"), timers=Timers(10, RESPONSE_TIMEOUT_S, 15, 10), tls=None, room=self.room,
            claims=cast(Claims, self.claims), recorder=self.recorder, vault=cast(Any, OpenVault()), opt_outs=OptOuts(),
            campaigns=Campaigns(), bulk_allowed=lambda: True, deliveries=Deliveries(), pairs=None, bury=self._bury,
            counts=Counts(METRICS, "model"), state_changed=lambda: None, now_ms=self._now_ms,
        )  # fmt: skip
        self.bind = Bind(Lease(0, 1, float("inf")), shared)
        self.tasks = [
            self.loop.create_task(work)
            for work in (self.bind.run(), self.recorder.run_recording(), self.recorder.run_publishing())
        ]
        await asyncio.sleep(0.1)

    def _now_ms(self) -> int:
        return int(self.loop.now * 1000)

    def _wake(self) -> None:
        self.bind.wake()

    def _finish(self, records: Iterable[Waiting]) -> None:
        self.finished.update(record.offset for record in records)

    def _bury(self, record: Waiting, why: str) -> None:
        raise AssertionError(why)

    def run(self, act: Callable[[], None]) -> None:
        """Does it inside the loop, and lets everything come to rest without time for timers."""

        async def step() -> None:
            act()
            await asyncio.sleep(0.01)

        self.loop.run_until_complete(step())

    # What comes to us.

    @rule(contact=st.integers(0, 3), purpose=st.sampled_from(["marketing", "otp"]))
    def a_message_comes(self, contact: int, purpose: str) -> None:
        number = len(self.pushed)
        record = waiting(
            self.place, number, contact_id=f"c{contact}", purpose=purpose, number=b"+33612345678", text=f"{number}".encode(), sender="Relais",
            not_after=FOR_EVER_MS,
        )  # fmt: skip
        self.pushed.append(record)
        self.run(lambda: (self.room.push(record), self.bind.wake())[1])

    # What the carrier does.

    def owing(self) -> list[Wire]:
        return [wire for wire in self.smsc.alive if wire.unanswered] if hasattr(self, "smsc") else []

    @precondition(lambda self: self.owing())
    @rule(
        which=st.integers(0, 50),
        status=st.sampled_from([0, 0, 0, c.ESME_RTHROTTLED, c.ESME_RMSGQFUL, c.ESME_RSYSERR, c.ESME_RINVDSTADR, 0x45]),
    )
    def it_answers_any(self, which: int, status: int) -> None:
        self.run(lambda: self.smsc.answer(self.owing()[0], which, status))

    @precondition(lambda self: self.owing())
    @rule()
    def it_answers_all(self) -> None:
        def act() -> None:
            for wire in self.owing():
                while wire.unanswered:
                    self.smsc.answer(wire, 0, c.ESME_ROK)

        self.run(act)

    @precondition(lambda self: self.owing())
    @rule(which=st.integers(0, 50))
    def a_response_is_lost(self, which: int) -> None:
        wire = self.owing()[0]
        _, part, _ = wire.unanswered.pop(which % len(wire.unanswered))
        self.smsc.taken[part] += 1

    @precondition(lambda self: self.owing())
    @rule(which=st.integers(0, 50))
    def it_answers_twice(self, which: int) -> None:
        wire = self.owing()[0]
        number, _, _ = wire.unanswered[which % len(wire.unanswered)]

        def act() -> None:
            self.smsc.answer(wire, which, c.ESME_ROK)
            wire.says(SubmitSmResp(sequence_number=number, command_status=c.ESME_RTHROTTLED))

        self.run(act)

    @precondition(lambda self: self.smsc.alive)
    @rule(times=st.integers(1, 2), known=st.booleans())
    def a_receipt_comes_early_twice_or_of_a_stranger(self, times: int, known: bool) -> None:
        wire = self.smsc.alive[0]
        if wire.link.bound:
            about = wire.unanswered[0][1] if known and wire.unanswered else "stranger"
            text = f"id:{about} stat:DELIVRD err:000 text:".encode()
            wire.delivered += times
            self.run(lambda: wire.says(*[DeliverSm(sequence_number=7, esm_class=4, short_message=text)] * times))

    @precondition(lambda self: self.smsc.alive)
    @rule()
    def it_unbinds(self) -> None:
        self.run(lambda: self.smsc.alive[0].says(Unbind(sequence_number=9)))

    @precondition(lambda self: self.smsc.alive)
    @rule()
    def the_link_dies(self) -> None:
        self.run(lambda: self.smsc.alive[0].abort())

    @precondition(lambda self: self.smsc.alive)
    @rule()
    def the_link_is_half_open(self) -> None:
        self.smsc.alive[0].deaf = True

    @precondition(lambda self: self.smsc.alive)
    @rule(octets=st.binary(min_size=1, max_size=40))
    def it_sends_garbage(self, octets: bytes) -> None:
        self.run(lambda: self.smsc.alive[0].link.data_received(octets))

    @rule(listening=st.booleans(), refusing=st.sampled_from([0, 0, c.ESME_RTHROTTLED, c.ESME_RINVPASWD]))
    def its_door(self, listening: bool, refusing: int) -> None:
        self.smsc.listening, self.smsc.binds_refused_with = listening, refusing

    @rule(seconds=st.sampled_from([0.3, 2.0, 20.0, RESPONSE_TIMEOUT_S + 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    # What always holds. That nothing is written again without a refusal is looked at as it is written.

    @invariant()
    def nothing_fails_and_the_window_is_kept(self) -> None:
        if not hasattr(self, "smsc"):
            return
        for task in self.tasks:
            assert not task.done(), task.exception()
        assert self.smsc.most_unanswered <= WINDOW
        assert 0 <= self.bind.window.used <= WINDOW
        assert max(self.smsc.taken.values(), default=0) <= 1

    @invariant()
    def a_contact_has_one_unanswered_message(self) -> None:
        if hasattr(self, "smsc"):
            open_keys = {key for key, outcome in self.claims.rows.items() if outcome is None}
            contacts = Counter(record.contact_id for record in self.pushed if record.key in open_keys)
            assert max(contacts.values(), default=0) <= 1

    def teardown(self) -> None:
        """The carrier has become friendly: everything comes to its end, and the ends are true."""
        if not hasattr(self, "smsc"):
            return
        self.smsc.listening, self.smsc.binds_refused_with = True, 0

        async def friendly() -> None:
            for _ in range(4000):
                for wire in self.owing():
                    while wire.unanswered and not wire.deaf:
                        self.smsc.answer(wire, 0, c.ESME_ROK)
                if len(self.finished) == len(self.pushed):
                    break
                await asyncio.sleep(0.5)
            for task in self.tasks:
                task.cancel()
            await asyncio.wait(self.tasks)

        self.loop.run_until_complete(friendly())
        self.loop.close()
        assert self.finished == Counter(range(len(self.pushed))), "each record's offset is finished once"
        told = {e.message_id: e for e in self.topics.events if isinstance(e, MessageSubmitted)}
        returned = {e.message_id for e in self.topics.events if isinstance(e, MessageReturned)}
        for record in self.pushed:
            part, outcome = str(record.offset), told[record.message_id].outcome
            if outcome == "submitted":
                assert self.smsc.taken[part] == 1
            elif outcome in ("rejected", "failed"):
                assert self.smsc.taken[part] == 0
            else:
                assert outcome == "unknown"
                assert self.smsc.written[part] >= 1, "what was never written is never unknown"
            again = outcome == "failed" or (outcome == "unknown" and record.request.purpose == "otp")
            assert (record.message_id in returned) == again


TestSession = Session.TestCase
TestSession.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

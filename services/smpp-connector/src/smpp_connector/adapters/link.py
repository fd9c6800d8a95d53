"""One SMPP connection: its bind, its timers, and the submit_sm that it owes an answer for.

States: connecting, binding, bound, closing, closed; each is entered once, in this order. The owner hears of answers
as they come, ahead of whatever it writes next, because the event loop reads before it lets others run.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol, cast

from msgspec import Struct
from shared.smpp import constants as c
from shared.smpp.errors import PduError
from shared.smpp.frames import FrameSplitter
from shared.smpp.pdu import (
    BindReceiver,
    BindResp,
    BindTransceiver,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)

from smpp_connector.domain.answers import NO_ANSWER
from smpp_connector.domain.submit_frames import numbered
from smpp_connector.domain.waiting_room import Waiting

TICK_S = 0.25
UNBIND_PATIENCE_S = 2.0
WRITE_HIGH_WATER = 256 * 1024  # octets the carrier has not read; beyond it nothing more is written
CONNECT_TIMEOUT_S = 10.0

_SILENT = frozenset({c.ALERT_NOTIFICATION, c.OUTBIND})  # 4.12, 4.1.7: have no response, so a nack would answer nothing


class State(IntEnum):
    CONNECTING = 0
    BINDING = 1
    BOUND = 2
    CLOSING = 3
    CLOSED = 4


class Timers(Struct, frozen=True):
    """Seconds."""

    session_init_s: float
    response_timeout_s: float
    enquire_link_s: float
    enquire_answer_s: float
    inactivity_s: float = 0.0
    """Without a message either way for this long the link is unbound; 0: never."""


class Account(Struct, frozen=True, repr_omit_defaults=True):
    """Who binds."""

    system_id: str
    password: str
    system_type: str
    interface_version: int

    def __repr__(self) -> str:
        return "<Account>"


BIND_PDUS: dict[str, type[BindTransceiver | BindTransmitter | BindReceiver]] = {
    "transceiver": BindTransceiver,
    "transmitter": BindTransmitter,
    "receiver": BindReceiver,
}


class LinkOwner(Protocol):
    """Called from the event loop; must neither block nor raise."""

    def link_bound(self, link: "Link") -> None: ...

    def link_closed(self, link: "Link") -> None:
        """Once, after every part that had no answer was answered with NO_ANSWER. `bind_status` and `reason` say why."""

    def part_answered(
        self, record: Waiting, part: int, command_status: int, message_id: str | None, latency_s: float
    ) -> None: ...

    def delivered(self, link: "Link", pdu: DeliverSm, frame: bytes) -> None:
        """A deliver_sm; to be answered with `acknowledge`, soon, and not before its effects are durable."""

    def writable(self) -> None:
        """The carrier reads again."""

    def congested(self, state: int) -> None:
        """congestion_state of a submit_sm_resp: 0 idle to 100 congested (SMPP 5.0, 4.8.4.18)."""


class Link(asyncio.Protocol):
    """Made for one connection and not used again."""

    def __init__(
        self, owner: LinkOwner, kind: str, account: Account, timers: Timers, clock: Callable[[], float]
    ) -> None:
        """`kind`: transceiver, transmitter or receiver. `clock`: the event loop's."""
        self.kind = kind
        self.state = State.CONNECTING
        self.bind_status: int | None = None  # command_status with which the SMSC refused the bind
        self.reason = ""  # why it closed, a constant sentence
        self.useful = False  # a message was taken or delivered over it
        self.writable = False
        self._owner, self._account, self._timers, self._clock = owner, account, timers, clock
        self._transport: asyncio.Transport | None = None
        self._splitter = FrameSplitter()
        self._sequence = 0
        self._owed: dict[int, tuple[Waiting, int, float]] = {}  # oldest first
        self._heard_at = clock()
        self._enquired_at: float | None = None
        self._opened_at = self._used_at = clock()
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = asyncio.get_running_loop().create_future()
        self._unbinding: int | None = None
        self._close_by: float | None = None

    # What the owner does with it.

    async def open(
        self, host: str, port: int, tls: ssl.SSLContext | None, *, server_name: str = "", from_address: str = ""
    ) -> None:
        """Connects; the bind follows by itself. OSError or TimeoutError when there is no connection.

        `server_name`: sent as SNI and looked for in the certificate; empty: `host`. `from_address`: our own address
        of which the connection comes; empty: the system's choice.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(
                lambda: self,
                host,
                port,
                ssl=tls,
                server_hostname=(server_name or host) if tls is not None else None,
                local_addr=(from_address, 0) if from_address else None,
            )

    @property
    def bound(self) -> bool:
        return self.state is State.BOUND

    @property
    def unanswered(self) -> int:
        """Parts written and not answered."""
        return len(self._owed)

    def submit(self, parts: Sequence[tuple[Waiting, int]]) -> None:
        """Writes these parts at once, in this order. The link must be bound."""
        assert self._transport is not None
        now = self._used_at = self._clock()
        frames = []
        for record, part in parts:
            sequence = self._next_sequence()
            self._owed[sequence] = (record, part, now)
            frames.append(numbered(record.frames[part], sequence))
        self._transport.write(b"".join(frames))

    def acknowledge(self, sequence_numbers: Sequence[int]) -> None:
        """Answers these deliver_sm; without effect on a closed link, whose SMSC sends them again elsewhere."""
        if self.state in (State.BOUND, State.CLOSING):
            self._write(b"".join(encode(DeliverSmResp(sequence_number=n)) for n in sequence_numbers))

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def closed(self) -> None:
        """Returns when the connection is gone."""
        await asyncio.shield(self._closed)

    async def unbind(self) -> None:
        """Says goodbye (4.2), waits a little for the answer, and closes."""
        if self.state is State.BOUND:
            self._stop_writing("we unbound")
            self._unbinding = self._next_sequence()
            self._write(encode(Unbind(sequence_number=self._unbinding)))
            await asyncio.wait([self._closed], timeout=UNBIND_PATIENCE_S)
        self.abort("we unbound")
        await self.closed()

    def abort(self, reason: str) -> None:
        """Ends the connection at once."""
        if self.state is State.CLOSED:
            return
        self._stop_writing(reason)
        if self._transport is not None:
            self._transport.abort()
        else:
            self._end()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it
        self._transport = transport
        if self.state is not State.CONNECTING:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.state = State.BINDING
        self.writable = True
        self._heard_at = self._opened_at = self._used_at = self._clock()
        account = self._account
        self._write(
            encode(
                BIND_PDUS[self.kind](
                    sequence_number=self._next_sequence(),
                    system_id=account.system_id,
                    password=account.password,
                    system_type=account.system_type,
                    interface_version=account.interface_version,
                )
            )
        )
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def data_received(self, data: bytes) -> None:
        if self.state is State.CLOSED:
            return
        self._heard_at = self._clock()
        if self._splitter.broken is not None:
            return
        for frame in self._splitter.feed(data):
            try:
                pdu = decode(frame)
            except PduError as error:
                self._refuse(error)
                continue
            self._received(pdu, frame)
        broken = self._splitter.broken
        if broken is not None:  # after a wrong length nothing that follows can be told apart (3.2)
            self._refuse(broken)
            self._stop_writing("the SMSC sent a PDU of impossible length")
            if self._transport is not None:
                self._transport.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.reason:
            self.reason = "the SMSC closed the connection" if exc is None else f"connection lost: {type(exc).__name__}"
        self._end()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        if self.state is State.BOUND:
            self.writable = True
            self._owner.writable()

    # What comes in.

    def _received(self, pdu: Pdu, frame: bytes) -> None:
        if isinstance(pdu, SubmitSmResp):
            if pdu.tlvs and len(state := pdu.tlvs.get(c.TLV_CONGESTION_STATE, b"")) == 1:
                self._owner.congested(state[0])
            self._answered(pdu.sequence_number, pdu.command_status, pdu.message_id)
        elif isinstance(pdu, DeliverSm):
            if self.state is State.BOUND:
                self.useful = True
                self._used_at = self._heard_at
                self._owner.delivered(self, pdu, frame)
        elif isinstance(pdu, EnquireLink):
            self._write(encode(EnquireLinkResp(sequence_number=pdu.sequence_number)))
        elif isinstance(pdu, EnquireLinkResp):
            self._enquired_at = None
        elif isinstance(pdu, BindResp):
            self._bind_answered(pdu)
        elif isinstance(pdu, GenericNack):
            self._nacked(pdu)
        elif isinstance(pdu, Unbind):
            self._write(encode(UnbindResp(sequence_number=pdu.sequence_number)))
            self._stop_writing("the SMSC unbound")
            self._close_by = self._clock() + UNBIND_PATIENCE_S  # answers may still be on their way
        elif isinstance(pdu, UnbindResp):
            if self._transport is not None and self._unbinding is not None:
                self._transport.close()
        elif pdu.command_id < c.RESPONSE_BIT:
            # A request that only an SMSC answers: bind or submit_sm sent by it.
            self._write(encode(GenericNack(sequence_number=pdu.sequence_number, command_status=c.ESME_RINVCMDID)))

    def _bind_answered(self, pdu: BindResp) -> None:
        if self.state is not State.BINDING:
            return
        if pdu.command_status != c.ESME_ROK:
            self.bind_status = pdu.command_status
            self.abort("the SMSC refused the bind")
            return
        self.state = State.BOUND
        self._owner.link_bound(self)

    def _nacked(self, pdu: GenericNack) -> None:
        """4.3: the SMSC could not read one of ours; sequence 0 when it cannot say which."""
        if self.state is State.BINDING:
            self.bind_status = pdu.command_status or c.ESME_RINVCMDID
            self.abort("the SMSC refused the bind")
            return
        self._answered(pdu.sequence_number, pdu.command_status or c.ESME_RINVCMDID, None)

    def _answered(self, sequence: int, command_status: int, message_id: str | None) -> None:
        owed = self._owed.pop(sequence, None)
        if owed is not None:  # else it came after its time: the claim says unknown, and stays so
            record, part, written_at = owed
            self.useful = self.useful or command_status == c.ESME_ROK
            self._owner.part_answered(record, part, command_status, message_id, self._clock() - written_at)

    def _refuse(self, error: PduError) -> None:
        """What could not be read: a request is refused, a response left alone."""
        if error.command_id & c.RESPONSE_BIT or error.command_id in _SILENT:
            return
        if error.command_id == c.DELIVER_SM and error.command_status != c.ESME_RINVCMDLEN:
            body = encode(DeliverSmResp(sequence_number=error.sequence_number, command_status=error.command_status))
        else:
            body = encode(
                GenericNack(sequence_number=error.sequence_number & 0xFFFFFFFF, command_status=error.command_status)
            )
        self._write(body)

    # Its own steps.

    def _tick(self) -> None:
        if self.state is State.CLOSED:
            return
        now, timers = self._clock(), self._timers
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self.state is State.BINDING and now - self._opened_at > timers.session_init_s:
            self.abort("the SMSC did not answer the bind")
            return
        while self._owed:
            sequence = next(iter(self._owed))
            record, part, written_at = self._owed[sequence]
            if now - written_at <= timers.response_timeout_s:
                break
            del self._owed[sequence]
            self._owner.part_answered(record, part, NO_ANSWER, None, now - written_at)
        if (
            self._close_by is not None
            and self._transport is not None
            and (now > self._close_by or (not self._owed and self._unbinding is None))
        ):
            self._transport.close()
        if self.state is not State.BOUND:
            return
        if timers.inactivity_s and not self._owed and now - self._used_at > timers.inactivity_s:
            self._stop_writing("no message for as long as the inactivity timer allows")
            self._unbinding = self._next_sequence()
            self._write(encode(Unbind(sequence_number=self._unbinding)))
            self._close_by = now + UNBIND_PATIENCE_S
            return
        if self._enquired_at is not None and now - self._enquired_at > timers.enquire_answer_s:
            if self._heard_at > self._enquired_at:
                self._enquired_at = None  # it talks, so it lives
            else:
                self.abort("the link is half-open: no answer to enquire_link")
                return
        if self._enquired_at is None and now - self._heard_at > timers.enquire_link_s:
            self._enquired_at = now
            self._write(encode(EnquireLink(sequence_number=self._next_sequence())))

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % c.MAX_SEQUENCE_NUMBER + 1
        return self._sequence

    def _write(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def _stop_writing(self, reason: str) -> None:
        if self.state < State.CLOSING:
            self.state = State.CLOSING
        self.writable = False
        self.reason = self.reason or reason

    def _end(self) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self.writable = False
        if self._ticker is not None:
            self._ticker.cancel()
        owed, self._owed = self._owed, {}
        now = self._clock()
        for record, part, written_at in owed.values():
            self._owner.part_answered(record, part, NO_ANSWER, None, now - written_at)
        self._closed.set_result(None)
        self._owner.link_closed(self)

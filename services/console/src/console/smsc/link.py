"""One ESME's connection: frames, bind state, and the window of deliver_sm."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

from console.smsc import pdu
from console.smsc.counters import Counters

_TRY_AGAIN = frozenset((pdu.ESME_RSYSERR, pdu.ESME_RMSGQFUL, pdu.ESME_RTHROTTLED, pdu.ESME_RX_T_APPN))
_WRITE_BUFFER_OCTETS = 1 << 20  # above it the ESME is not reading, and nothing more is written or read
_UNBIND_PATIENCE_S = 1.0


class Delivery(NamedTuple):
    """A deliver_sm that waits for a bind or for its response; `body` lacks the header."""

    is_receipt: bool
    body: bytes


class Exchange(Protocol):
    """What a link needs of the SMSC behind it."""

    counters: Counters
    outbox: deque[Delivery]
    deaf: bool
    """While set, enquire_link and unbind get no answer either."""

    @property
    def ignores_enquiries(self) -> bool:
        """While true, enquire_link gets no answer."""

    def opened(self, link: "Link") -> None:
        """A connection was made."""

    def bind(self, link: "Link", command: int, credentials: pdu.Bind) -> int:
        """The command_status of the answer to a bind; 0 lets it in."""

    def bound(self, link: "Link") -> None:
        """The answer to its bind is on its way."""

    def submit(self, link: "Link", data: bytes, start: int, end: int, sequence: int) -> bytes:
        """The response to the submit_sm in data[start:end], or nothing if it comes later or never."""

    def try_later(self, link: "Link", delivery: Delivery) -> None:
        """The ESME refused this delivery for now."""

    def closed(self, link: "Link") -> None:
        """The connection is gone; what it had not acknowledged is back in the outbox."""


class Limits(NamedTuple):
    """See `SmscConfig`, where each has its meaning."""

    smsc_id: bytes
    deliver_window: int
    deliver_timeout_s: float
    session_init_s: float
    enquire_link_s: float


class Cut:
    """An end in the middle of a PDU: of the first one that `meets` is true of (command, sequence_number).

    `share` (0 to 1) of it is written, but neither nothing nor all. One cut may lie in wait on several links;
    the first that meets it spends it. `done` then hears of that link.
    """

    def __init__(self, meets: Callable[[int, int], bool], share: float, done: Callable[["Link"], None]) -> None:
        self.meets = meets
        self.share = share
        self.done = done
        self.spent = False


class Link(asyncio.Protocol):
    def __init__(self, exchange: Exchange, number: int, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        self.mode = 0
        """The bind command that was accepted; 0 before."""
        self.transmits = False
        self.receives = False
        self.unanswered = 0
        """Submits whose response is put off."""
        self.account = ""
        """The system_id that it is bound as."""
        self.outbox = exchange.outbox
        """Where its deliver_sm come from: its account's."""
        self._exchange = exchange
        self._counters = exchange.counters
        self._limits = limits
        self._loop = loop
        self._opened = self._heard = loop.time()
        self._unbound_at: float | None = None
        self._asked = False
        self._rest = b""
        self._full = False
        self._half_open = False
        self._stopped_reading = 0
        self._cuts: list[Cut] = []
        self._sequence = 0
        self._unacknowledged: dict[int, tuple[float, Delivery]] = {}

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_OCTETS)
        self._exchange.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._half_open:
            return
        self._heard = self._loop.time()
        self._asked = False
        if self._rest:
            data = self._rest + data
        out: list[bytes] = []
        at, size = 0, len(data)
        submit, unpack = self._exchange.submit, pdu.HEADER.unpack_from
        while size - at >= pdu.HEADER_OCTETS:
            length, command, status, sequence = unpack(data, at)
            if not pdu.HEADER_OCTETS <= length <= pdu.MAX_PDU_OCTETS:
                # The next frame's beginning is lost with this one's length: answer and hang up.
                self._counters.malformed += 1
                out.append(pdu.empty_pdu(pdu.GENERIC_NACK, pdu.ESME_RINVCMDLEN, sequence))
                self._hang_up(out)
                return
            end = at + length
            if end > size:
                break
            if command == pdu.SUBMIT_SM and self.transmits:
                if answer := submit(self, data, at, end, sequence):
                    out.append(answer)
            elif command == pdu.DELIVER_SM_RESP:
                self._acknowledge(sequence, status)
            elif command == pdu.UNBIND and self.mode and not self._exchange.deaf:
                out.append(pdu.empty_pdu(pdu.UNBIND_RESP, pdu.ESME_ROK, sequence))
                self._hang_up(out)
                return
            elif command == pdu.UNBIND_RESP:
                self._hang_up(out)
                return
            else:
                self._answer_rarer(data, at, end, command, sequence, out)
            at = end
        self._rest = data[at:] if at else data
        self._fill_window(len(self.outbox), out)
        if out:
            self.write(b"".join(out))

    def pause_writing(self) -> None:
        self._full = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._read_on()
        self.deliver(len(self.outbox))

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._put_back(list(self._unacknowledged))
        self._exchange.closed(self)

    # What the SMSC calls.

    @property
    def has_room(self) -> bool:
        """Whether it can take a deliver_sm now."""
        return self.receives and not self._full and len(self._unacknowledged) < self._limits.deliver_window

    def deliver(self, most: int) -> None:
        """Write up to `most` messages from the outbox, as far as the window has room."""
        out: list[bytes] = []
        self._fill_window(most, out)
        if out:
            self.write(b"".join(out))

    def write(self, octets: bytes) -> None:
        """Write whole PDUs, unless a cut lies in wait for one of them."""
        if self._transport.is_closing() or self._half_open:
            return
        if self._cuts:
            self._write_until_cut(octets)
        else:
            self._transport.write(octets)

    def write_raw(self, octets: bytes) -> None:
        """Write octets that need not be PDUs."""
        if not self._transport.is_closing() and not self._half_open:
            self._transport.write(octets)

    def send(self, deliveries: list[Delivery]) -> None:
        """Write these rather than what waits in the outbox, past the window if need be."""
        self.outbox.extendleft(reversed(deliveries))
        out: list[bytes] = []
        self._write_deliveries(len(deliveries), out)
        self.write(b"".join(out))

    def cut_in(self, cut: Cut) -> None:
        """End the connection within the PDU that the cut waits for."""
        self._cuts = [waiting for waiting in self._cuts if not waiting.spent]
        self._cuts.append(cut)

    def leave_half_open(self) -> None:
        """Keep the connection, and neither read nor write ever again; no FIN, no reset. Its bind still counts."""
        self._leave()
        self._half_open = True
        self._put_back(list(self._unacknowledged))

    def stop_reading(self) -> None:
        """Leave what the ESME writes in the network's buffers until as many calls of `read_again`."""
        self._stopped_reading += 1
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def read_again(self) -> None:
        self._stopped_reading -= 1
        self._read_on()

    def unbind(self) -> None:
        """Ask the ESME to leave; the link ends with its answer, or without it after a second."""
        self._leave()
        self._unbound_at = self._loop.time()
        self.write(pdu.empty_pdu(pdu.UNBIND, pdu.ESME_ROK, self.next_sequence()))

    def close(self) -> None:
        self._half_open = False
        self._hang_up([])

    def abort(self) -> None:
        """End the connection with a reset, as a failing network does."""
        self._leave()
        self._transport.abort()

    def tick(self, now: float) -> None:
        """Look after what should have happened by `now` (the loop's time) and has not."""
        if self._half_open:
            return
        if self._stopped_reading:
            self._heard = now  # the silence is this side's fault
        limits = self._limits
        silence = now - self._heard
        if self._unbound_at is not None and now - self._unbound_at > _UNBIND_PATIENCE_S:
            self.abort()
        elif not self.mode and now - self._opened > limits.session_init_s:
            self.close()
        elif self.mode and limits.enquire_link_s and silence > 2 * limits.enquire_link_s:
            self.abort()
        elif self.mode and limits.enquire_link_s and silence > limits.enquire_link_s and not self._asked:
            self._asked = True
            self.write(pdu.empty_pdu(pdu.ENQUIRE_LINK, pdu.ESME_ROK, self.next_sequence()))
        overdue = now - limits.deliver_timeout_s
        late: list[int] = []
        for sequence, (sent, _) in self._unacknowledged.items():
            if sent > overdue:
                break  # they stand in the order of sending
            late.append(sequence)
        self._put_back(late)
        self.deliver(len(self.outbox))

    # Its own steps.

    def _answer_rarer(self, data: bytes, at: int, end: int, command: int, sequence: int, out: list[bytes]) -> None:
        if command == pdu.ENQUIRE_LINK:
            if not self._exchange.deaf and not self._exchange.ignores_enquiries:
                out.append(pdu.empty_pdu(pdu.ENQUIRE_LINK_RESP, pdu.ESME_ROK, sequence))
        elif command in pdu.BINDS:
            out.append(self._bind(data, at, end, command, sequence))
        elif command == pdu.SUBMIT_SM or (command == pdu.UNBIND and not self.mode):
            out.append(pdu.empty_pdu(command | pdu.RESPONSE, pdu.ESME_RINVBNDSTS, sequence))
        elif command == pdu.GENERIC_NACK:
            if self._unacknowledged.pop(sequence, None):
                self._counters.delivers_refused += 1
        elif not command & pdu.RESPONSE and command != pdu.UNBIND:
            # Also for operations that exist but are not simulated: query_sm, cancel_sm, data_sm and so on.
            out.append(pdu.empty_pdu(pdu.GENERIC_NACK, pdu.ESME_RINVCMDID, sequence))

    def _bind(self, data: bytes, at: int, end: int, command: int, sequence: int) -> bytes:
        try:
            status = (
                pdu.ESME_RALYBND if self.mode else self._exchange.bind(self, command, pdu.parse_bind(data, at, end))
            )
        except pdu.MalformedPduError as malformed:
            self._counters.malformed += 1
            status = malformed.status
        if status:
            self._counters.binds_refused += 1
            return pdu.empty_pdu(command | pdu.RESPONSE, status, sequence)
        self._counters.binds += 1
        self.mode = command
        self.transmits = command != pdu.BIND_RECEIVER
        self.receives = command != pdu.BIND_TRANSMITTER
        self._exchange.bound(self)
        return pdu.bind_resp(command, sequence, self._limits.smsc_id)

    def _fill_window(self, most: int, out: list[bytes]) -> None:
        outbox = self.outbox
        if not outbox or not self.has_room:
            return
        room = self._limits.deliver_window - len(self._unacknowledged)
        self._write_deliveries(min(most, room, len(outbox)), out)

    def _write_deliveries(self, count: int, out: list[bytes]) -> None:
        outbox = self.outbox
        now = self._loop.time()
        receipts = count
        for _ in range(count):
            delivery = outbox.popleft()
            sequence = self.next_sequence()
            body = delivery.body
            out.append(pdu.HEADER.pack(pdu.HEADER_OCTETS + len(body), pdu.DELIVER_SM, pdu.ESME_ROK, sequence))
            out.append(body)
            self._unacknowledged[sequence] = (now, delivery)
            receipts -= not delivery.is_receipt
        self._counters.receipts_sent += receipts
        self._counters.inbound_sent += count - receipts

    def _acknowledge(self, sequence: int, status: int) -> None:
        sent = self._unacknowledged.pop(sequence, None)
        if sent is None:
            self._counters.stray_responses += 1
        elif status in _TRY_AGAIN:
            self._counters.delivers_repeated += 1
            self._exchange.try_later(self, sent[1])
        elif status:
            self._counters.delivers_refused += 1
        elif sent[1].is_receipt:
            self._counters.receipts_acked += 1
        else:
            self._counters.inbound_acked += 1

    def _put_back(self, sequences: list[int]) -> None:
        for sequence in reversed(sequences):
            self.outbox.appendleft(self._unacknowledged.pop(sequence)[1])
        self._counters.delivers_repeated += len(sequences)

    def next_sequence(self) -> int:
        """The sequence_number of the next PDU that the SMSC asks with."""
        self._sequence = self._sequence + 1 if self._sequence < pdu.MAX_SEQUENCE else 1
        return self._sequence

    def _leave(self) -> None:
        self.transmits = self.receives = False

    def _read_on(self) -> None:
        if not self._transport.is_closing() and not self._full and not self._stopped_reading:
            self._transport.resume_reading()

    def _write_until_cut(self, octets: bytes) -> None:
        at = 0
        while at < len(octets):
            length, command, _, sequence = pdu.HEADER.unpack_from(octets, at)
            cut = next((one for one in self._cuts if not one.spent and one.meets(command, sequence)), None)
            if cut:
                cut.spent = True
                self._hang_up([octets[: at + min(max(1, int(length * cut.share)), length - 1)]])
                cut.done(self)
                return
            at += length
        self._transport.write(octets)

    def _hang_up(self, out: list[bytes]) -> None:
        self._leave()
        if not self._transport.is_closing() and not self._half_open:
            self._transport.write(b"".join(out))
            self._transport.close()

"""One SMPP connection against a scripted SMSC: a transport that only remembers, and a clock that stands until moved."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared.smpp import constants as c
from shared.smpp.frames import FrameSplitter
from shared.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)
from smpp_connector.adapters.link import Account, Link, State, Timers
from smpp_connector.domain.answers import NO_ANSWER
from smpp_connector.domain.waiting_room import Waiting
from smpp_connector_makers import waiting


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Transport:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.splitter = FrameSplitter()
        self.written: list[Pdu] = []
        self.closed = self.aborted = False
        self.link: Link | None = None

    def set_write_buffer_limits(self, high: int) -> None: ...

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def write(self, octets: bytes) -> None:
        self.written += [decode(frame) for frame in self.splitter.feed(octets)]

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
        assert self.link is not None
        self.link.connection_lost(None)


@dataclass
class Owner:
    answers: list[tuple[Waiting, int, int, str | None]] = field(default_factory=list)
    deliveries: list[DeliverSm] = field(default_factory=list)
    congestion: list[int] = field(default_factory=list)
    bound: int = 0
    closed: int = 0

    def link_bound(self, link: Link) -> None:
        self.bound += 1

    def link_closed(self, link: Link) -> None:
        self.closed += 1

    def part_answered(self, record: Waiting, part: int, status: int, message_id: str | None, latency_s: float) -> None:
        self.answers.append((record, part, status, message_id))

    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None:
        self.deliveries.append(pdu)

    def writable(self) -> None: ...

    def congested(self, state: int) -> None:
        self.congestion.append(state)


@dataclass
class Scene:
    clock: Clock
    owner: Owner
    transport: Transport
    link: Link

    def says(self, *pdus: Pdu) -> None:
        self.link.data_received(b"".join(encode(pdu) for pdu in pdus))

    def after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.link._tick()

    def submit(self, *parts: int) -> Waiting:
        record = waiting()
        record.frames = [encode(SubmitSm(sequence_number=0, destination_addr=str(n))) for n in range(5)]
        self.link.submit([(record, part) for part in parts])
        return record

    @property
    def last(self) -> Any:
        return self.transport.written[-1]


def scene(*, bound: bool = True) -> Scene:
    clock, owner, transport = Clock(), Owner(), Transport()
    timers = Timers(session_init_s=5, response_timeout_s=30, enquire_link_s=10, enquire_answer_s=5)
    link = Link(owner, "transceiver", Account("relais", "secret", "", 0x34), timers, clock)
    transport.link = link
    link.connection_made(transport)  # type: ignore[arg-type]
    if bound:
        link.data_received(encode(BindTransceiverResp(sequence_number=1, system_id="smsc")))
    return Scene(clock, owner, transport, link)


async def test_it_binds_and_says_so_once() -> None:
    s = scene(bound=False)
    asked = s.transport.written[0]
    assert isinstance(asked, BindTransceiver)
    assert (asked.system_id, asked.password, asked.interface_version) == ("relais", "secret", 0x34)
    s.says(BindTransceiverResp(sequence_number=1, system_id="smsc"))
    s.says(BindTransceiverResp(sequence_number=1, system_id="smsc"))
    assert s.owner.bound == 1
    assert s.link.bound
    assert "secret" not in repr(s.link._account)


async def test_a_refused_bind_closes_and_keeps_the_reason() -> None:
    s = scene(bound=False)
    s.says(BindTransceiverResp(sequence_number=1, command_status=c.ESME_RINVPASWD))
    assert (s.link.bind_status, s.link.state, s.owner.closed) == (c.ESME_RINVPASWD, State.CLOSED, 1)
    s = scene(bound=False)
    s.says(GenericNack(sequence_number=1, command_status=c.ESME_RINVCMDID))
    assert s.link.bind_status == c.ESME_RINVCMDID


async def test_a_bind_that_is_not_answered_ends_after_the_session_init_timer() -> None:
    s = scene(bound=False)
    s.after(4.9)
    assert s.link.state is State.BINDING
    s.after(0.2)
    assert s.link.state is State.CLOSED
    assert s.link.bind_status is None


async def test_answers_in_any_order_find_their_parts_and_each_counts_once() -> None:
    s = scene()
    record = s.submit(0, 1, 2)
    first, second, third = (pdu.sequence_number for pdu in s.transport.written[1:])
    s.says(
        SubmitSmResp(sequence_number=third, message_id="c"),
        SubmitSmResp(sequence_number=first, command_status=c.ESME_RTHROTTLED),
        SubmitSmResp(sequence_number=third, message_id="again"),
        GenericNack(sequence_number=second, command_status=c.ESME_RINVCMDLEN),
    )
    assert s.owner.answers == [
        (record, 2, 0, "c"),
        (record, 0, c.ESME_RTHROTTLED, None),
        (record, 1, c.ESME_RINVCMDLEN, None),
    ]
    assert s.link.unanswered == 0


async def test_a_link_is_useful_once_a_message_was_taken_or_delivered_over_it() -> None:
    taken, refused, delivered = scene(), scene(), scene()
    for s, status in ((taken, 0), (refused, c.ESME_RTHROTTLED)):
        s.submit(0)
        sequence = s.transport.written[1].sequence_number
        s.says(SubmitSmResp(sequence_number=sequence, command_status=status, message_id=None if status else "a"))
    delivered.says(DeliverSm(sequence_number=1))
    assert (taken.link.useful, refused.link.useful, delivered.link.useful) == (True, False, True)


async def test_congestion_told_with_an_answer_is_passed_on_and_one_of_another_size_is_not() -> None:
    s = scene()
    s.submit(0, 1)
    first, second = (pdu.sequence_number for pdu in s.transport.written[1:])
    s.says(
        SubmitSmResp(sequence_number=first, message_id="a", tlvs={c.TLV_CONGESTION_STATE: b"\x5f"}),
        SubmitSmResp(sequence_number=second, message_id="b", tlvs={c.TLV_CONGESTION_STATE: b"\x00\x5f"}),
    )
    assert s.owner.congestion == [95]
    assert len(s.owner.answers) == 2


async def test_an_answer_that_does_not_come_in_time_is_none_and_a_later_one_is_not_heard() -> None:
    s = scene()
    record = s.submit(0)
    sequence = s.last.sequence_number
    for _ in range(4):
        s.after(9)
        s.says(EnquireLink(sequence_number=5))
    assert s.owner.answers == [(record, 0, NO_ANSWER, None)]
    s.says(SubmitSmResp(sequence_number=sequence, message_id="late"))
    assert len(s.owner.answers) == 1


async def test_a_lost_connection_leaves_every_open_part_without_an_answer() -> None:
    s = scene()
    record = s.submit(0, 1)
    s.link.connection_lost(ConnectionResetError())
    assert [a[1:3] for a in s.owner.answers] == [(0, NO_ANSWER), (1, NO_ANSWER)]
    assert s.owner.closed == 1
    assert record.frames
    s.link.connection_lost(None)
    assert s.owner.closed == 1


async def test_a_silent_link_is_asked_and_one_that_stays_silent_is_half_open() -> None:
    s = scene()
    s.after(10.1)
    assert isinstance(s.last, EnquireLink)
    s.says(EnquireLinkResp(sequence_number=s.last.sequence_number))
    s.after(4)
    assert s.link.bound
    s.after(6.5)
    assert isinstance(s.last, EnquireLink)
    s.after(5.1)
    assert s.link.state is State.CLOSED
    assert "half-open" in s.link.reason


async def test_a_link_without_messages_is_unbound_after_the_inactivity_timer() -> None:
    s = scene()
    s.link._timers = Timers(5, 30, 10, 5, inactivity_s=60)
    s.submit(0)
    s.says(SubmitSmResp(sequence_number=s.last.sequence_number, message_id="a"))
    for _ in range(8):
        s.after(7)
        s.says(EnquireLink(sequence_number=9))  # no message
    assert s.link.bound
    s.after(7)
    assert isinstance(s.last, Unbind)
    assert not s.link.writable
    s.says(UnbindResp(sequence_number=s.last.sequence_number))
    assert s.transport.closed


async def test_a_link_that_talks_without_answering_enquire_link_lives() -> None:
    s = scene()
    s.after(10.1)
    s.clock.now += 1
    s.says(EnquireLink(sequence_number=9))
    s.after(5)
    assert s.link.bound


async def test_deliveries_are_acknowledged_when_told_to_and_not_before() -> None:
    s = scene()
    written = len(s.transport.written)
    s.says(DeliverSm(sequence_number=7, short_message=b"x"), DeliverSm(sequence_number=8, short_message=b"y"))
    assert [d.sequence_number for d in s.owner.deliveries] == [7, 8]
    assert len(s.transport.written) == written
    s.link.acknowledge([7, 8])
    assert [(type(p), p.sequence_number) for p in s.transport.written[written:]] == [
        (DeliverSmResp, 7),
        (DeliverSmResp, 8),
    ]


async def test_an_impossible_length_is_nacked_and_ends_the_link() -> None:
    s = scene()
    s.submit(0)
    s.link.data_received(bytes.fromhex("7fffffff 00000005 00000000 00000009"))
    assert (type(s.last), s.last.command_status, s.last.sequence_number) == (GenericNack, c.ESME_RINVCMDLEN, 9)
    assert s.transport.closed
    assert not s.link.writable
    s.link.data_received(b"more")  # nothing after it is looked at
    s.link.connection_lost(None)
    assert s.owner.answers[0][2] == NO_ANSWER


async def test_what_is_not_spoken_is_nacked_except_where_no_answer_exists() -> None:
    s = scene()
    written = len(s.transport.written)
    s.link.data_received(bytes.fromhex("00000010 00000102 00000000 00000003"))  # alert_notification
    s.link.data_received(bytes.fromhex("00000010 0000000b 00000000 00000004"))  # outbind
    s.link.data_received(bytes.fromhex("00000010 80000103 00000000 00000005"))  # data_sm_resp
    assert len(s.transport.written) == written
    s.link.data_received(bytes.fromhex("00000010 00000103 00000000 00000006"))  # data_sm
    assert (type(s.last), s.last.command_status, s.last.sequence_number) == (GenericNack, c.ESME_RINVCMDID, 6)
    s.says(SubmitSm(sequence_number=7))
    assert (type(s.last), s.last.sequence_number) == (GenericNack, 7)
    assert s.link.bound


async def test_an_smsc_that_unbinds_is_answered_and_its_last_answers_still_count() -> None:
    s = scene()
    record = s.submit(0)
    sequence = s.last.sequence_number
    s.says(Unbind(sequence_number=3))
    assert (type(s.last), s.last.sequence_number) == (UnbindResp, 3)
    assert not s.link.bound
    assert not s.transport.closed
    s.says(SubmitSmResp(sequence_number=sequence, message_id="a"))
    s.after(0.3)
    assert s.transport.closed
    assert s.owner.answers == [(record, 0, 0, "a")]


async def test_we_unbind_and_close_when_it_is_answered() -> None:
    s = scene()
    unbinding = asyncio.create_task(s.link.unbind())
    await asyncio.sleep(0)
    assert isinstance(s.last, Unbind)
    assert not s.link.bound
    s.says(UnbindResp(sequence_number=s.last.sequence_number))
    assert s.transport.closed
    s.link.connection_lost(None)
    await unbinding


async def test_sequence_numbers_wrap_to_one() -> None:
    s = scene()
    s.link._sequence = c.MAX_SEQUENCE_NUMBER - 1
    s.submit(0, 1)
    assert [p.sequence_number for p in s.transport.written[-2:]] == [c.MAX_SEQUENCE_NUMBER, 1]


async def test_a_carrier_that_does_not_read_is_not_written_to() -> None:
    s = scene()
    s.link.pause_writing()
    assert not s.link.writable
    s.link.resume_writing()
    assert s.link.writable


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.integers(0, 0x200).map(lambda n: (0x10).to_bytes(4, "big") + n.to_bytes(4, "big") + bytes(8)),
        ),
        max_size=8,
    )
)
def test_any_octets_leave_the_link_open_or_closed_and_never_raise(chunks: list[bytes]) -> None:
    async def feed() -> None:
        s = scene()
        record = s.submit(0)
        for chunk in chunks:
            s.link.data_received(chunk)
            s.after(0.1)
        s.link.abort("the end")
        assert s.link.state is State.CLOSED
        assert len([a for a in s.owner.answers if a[0] is record]) == 1

    asyncio.run(feed())

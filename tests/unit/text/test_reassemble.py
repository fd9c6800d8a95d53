"""Whatever order parts come in, whatever is repeated or lost, each message comes out once and nothing of it is lost."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.text.encoding import Encoding
from shared.text.national import DEFAULT, Language, Shift
from shared.text.plan import plan
from shared.text.reassemble import Reassembler, Whole
from shared.text.received import Content, read_content
from shared.text.udh import Concatenation, LongMessage

PEER = ("carrier", "+33600000000", "36180")


def parts_of(text: str, reference: int, method: LongMessage = LongMessage.UDH8) -> list[Content]:
    planned = plan(text, long_message=method, national={Language.TURKISH})
    return [
        read_content(piece.short_message, planned.data_coding, has_udh=bool(planned.esm_class & 0x40), tlvs=piece.tlvs)
        for piece in planned.pieces(reference)
    ]


def part(
    number: int, total: int, octets: bytes, reference: int = 1, encoding: Encoding | None = Encoding.GSM7
) -> Content:
    return Content(octets, encoding, DEFAULT, Concatenation(reference, total, number))


some = st.text(st.sampled_from("ab€{éğ中😀"), min_size=1, max_size=30)
texts = st.builds(lambda first, again, times: first + again * times, some, some, st.integers(5, 30))


@given(texts, st.sampled_from([LongMessage.UDH8, LongMessage.UDH16, LongMessage.SAR]), st.data())
def test_any_order_of_parts_gives_the_text(text: str, method: LongMessage, data: st.DataObject) -> None:
    arriving = data.draw(st.permutations(parts_of(text, 300, method)))
    reassembler = Reassembler()
    done = [whole for at, content in enumerate(arriving) for whole in reassembler.add(PEER, content, at)]
    assert done == [Whole(PEER, text, len(arriving), (), 0 if len(arriving) > 1 else done[0].first_part_at_ms)]
    assert len(reassembler) == 0
    assert reassembler.octets == 0


@given(st.lists(texts, min_size=1, max_size=4), st.data())
def test_messages_that_interleave_and_parts_that_are_repeated_come_out_once(
    messages: list[str], data: st.DataObject
) -> None:
    parts = [content for number, text in enumerate(messages) for content in parts_of(text, number)]
    tied = [content for content in parts if content.concatenation is not None]
    repeated = data.draw(st.lists(st.sampled_from(tied), max_size=6)) if tied else []
    arriving = data.draw(st.permutations(parts + repeated))
    reassembler = Reassembler()
    done = [whole for content in arriving for whole in reassembler.add(PEER, content, 0)]
    assert Counter(whole.text for whole in done) == Counter(messages)
    assert all(not whole.missing for whole in done)


@given(texts, st.data())
def test_a_message_whose_parts_got_lost_comes_out_when_its_time_is_over(text: str, data: st.DataObject) -> None:
    parts = parts_of(text, 5)
    if len(parts) == 1:
        return
    lost = data.draw(st.sets(st.integers(1, len(parts)), min_size=1, max_size=len(parts) - 1))
    reassembler = Reassembler(timeout_ms=1000)
    for number, content in enumerate(parts, 1):
        if number not in lost:
            assert reassembler.add(PEER, content, 50) == []
    assert reassembler.expire(1049) == []
    (whole,) = reassembler.expire(1050)
    assert whole.missing == tuple(sorted(lost))
    assert whole.total == len(parts)
    assert whole.first_part_at_ms == 50
    assert whole.text == "".join(
        parts_text for number, parts_text in enumerate(map(read_alone, parts), 1) if number not in lost
    )
    assert reassembler.expire(10**9) == []


def read_alone(content: Content) -> str:
    (whole,) = Reassembler().add(PEER, content._replace(concatenation=None), 0)
    return whole.text or ""


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 4), st.integers(1, 4), st.binary(max_size=4)),
        max_size=60,
    ),
    st.integers(1, 3),
)
def test_no_content_is_lost_and_memory_keeps_its_bound_whatever_arrives(
    arrivals: list[tuple[int, int, int, int, bytes]], room: int
) -> None:
    reassembler = Reassembler(timeout_ms=20, max_waiting=room)
    kept: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    now = 0
    for step, reference, total, number, octets in arrivals:
        now += step * 5
        if number > total:
            continue
        marked = bytes(octet % 26 + 97 for octet in octets)
        seen.update(set(marked.decode()))
        for whole in reassembler.add(PEER, part(number, total, marked, reference), now):
            kept.update(whole.text or "")
        assert len(reassembler) <= room
    for whole in reassembler.drain():
        kept.update(whole.text or "")
    assert set(kept) == set(seen)
    assert reassembler.octets == 0


def test_a_part_that_is_repeated_after_the_message_is_whole_is_dropped() -> None:
    reassembler = Reassembler()
    assert reassembler.add(PEER, part(2, 2, b"b"), 0) == []
    assert [whole.text for whole in reassembler.add(PEER, part(1, 2, b"a"), 0)] == ["ab"]
    assert reassembler.add(PEER, part(2, 2, b"b"), 5) == []
    assert len(reassembler) == 0


def test_a_reference_that_is_used_again_begins_another_message() -> None:
    reassembler = Reassembler()
    reassembler.add(PEER, part(1, 2, b"a"), 0)
    (left,) = reassembler.add(PEER, part(1, 2, b"x"), 5)
    assert (left.text, left.missing) == ("a", (2,))
    (whole,) = reassembler.add(PEER, part(2, 2, b"y"), 6)
    assert (whole.text, whole.missing) == ("xy", ())
    reassembler.add(PEER, part(2, 2, b"z"), 7)
    (third,) = reassembler.add(PEER, part(1, 2, b"x"), 8)
    assert third.text == "xz"


def test_a_part_that_comes_after_its_message_was_given_up_is_a_message_of_its_own() -> None:
    reassembler = Reassembler(timeout_ms=10)
    reassembler.add(PEER, part(1, 2, b"a"), 0)
    assert [whole.text for whole in reassembler.expire(10)] == ["a"]
    assert reassembler.add(PEER, part(2, 2, b"b"), 11) == []
    assert reassembler.add(PEER, part(1, 2, b"a"), 12) == []  # repeated by the carrier: known
    assert [(whole.text, whole.missing) for whole in reassembler.expire(21)] == [("b", (1,))]
    assert reassembler.add(PEER, part(1, 2, b"a"), 22) == []  # and again
    assert reassembler.add(PEER, part(2, 2, b"b"), 22) == []
    assert len(reassembler) == 0


def test_peers_do_not_share_references() -> None:
    reassembler = Reassembler()
    assert reassembler.add("one", part(1, 2, b"a"), 0) == []
    assert reassembler.add("two", part(2, 2, b"b"), 0) == []
    assert len(reassembler) == 2


def test_the_oldest_message_is_given_up_when_there_is_no_room() -> None:
    reassembler = Reassembler(max_waiting=2)
    for reference in (1, 2):
        assert reassembler.add(PEER, part(1, 2, b"a", reference), reference) == []
    (given_up,) = reassembler.add(PEER, part(1, 2, b"c", 3), 3)
    assert given_up == Whole(PEER, "a", 2, (2,), 1)


def test_memory_is_bounded_when_a_peer_sends_many_empty_parts_of_messages_that_are_never_whole() -> None:
    reassembler = Reassembler(timeout_ms=10**12, max_waiting=10**6, max_octets=400_000)
    tracemalloc.start()
    try:
        for number in range(20_000):
            reassembler.add(PEER, part(number % 254 + 1, 255, b"", number // 254), number)
        peak = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert reassembler.octets <= 400_000
    assert peak < 1_500_000


@pytest.mark.parametrize(
    ("first", "second", "encoding", "text"),
    [
        (b"\xd8\x3d", b"\xde\x00", Encoding.UCS2, "😀"),  # a surrogate pair cut in two
        (b"\x1b", b"e", Encoding.GSM7, "€"),  # an escape pair cut in two
        (b"\x00", b"\x00a", Encoding.UCS2, "\ufffda"),  # half a character stays half
        (b"\1", b"\2", None, None),
    ],
)
def test_a_pair_that_a_phone_cut_in_two_is_read_whole(
    first: bytes, second: bytes, encoding: Encoding | None, text: str | None
) -> None:
    reassembler = Reassembler()
    reassembler.add(PEER, part(1, 2, first, encoding=encoding), 0)
    (whole,) = reassembler.add(PEER, part(2, 2, second, encoding=encoding), 0)
    assert whole.text == text


def test_each_part_is_read_by_its_own_tables() -> None:
    reassembler = Reassembler()
    reassembler.add(PEER, part(1, 2, b"\x0b")._replace(shift=Shift(locking=Language.TURKISH)), 0)
    (whole,) = reassembler.add(PEER, part(2, 2, b"\x0b"), 0)
    assert whole.text == "ĞØ"


def test_a_repr_shows_no_text() -> None:
    assert "secret" not in repr(Whole(PEER, "secret", 1, (), 0))

"""However the network cuts the stream, the same PDUs come out of it."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.smpp.errors import PduError
from shared.smpp.frames import MAX_PDU, FrameSplitter
from shared.smpp.pdu import EnquireLink, encode
from unit_smpp_strategies import any_pdu

LINK = encode(EnquireLink(sequence_number=1))


def chunked(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def feed_all(splitter: FrameSplitter, chunks: list[bytes]) -> list[bytes]:
    frames: list[bytes] = []
    for chunk in chunks:
        frames += splitter.feed(chunk)
        if splitter.broken:
            break
    return frames


@given(st.lists(any_pdu, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_gives_the_same_pdus(pdus: list, cuts: list[int]) -> None:
    frames = [encode(pdu) for pdu in pdus]
    splitter = FrameSplitter()
    assert feed_all(splitter, chunked(b"".join(frames), cuts)) == frames
    assert splitter.pending == 0
    assert splitter.broken is None


@given(st.lists(any_pdu, max_size=3), st.integers(0, 15) | st.integers(MAX_PDU + 1, 0xFFFFFFFF), st.binary(max_size=40))
def test_a_bad_command_length_is_refused_after_the_pdus_ahead_of_it(pdus: list, length: int, rest: bytes) -> None:
    frames = [encode(pdu) for pdu in pdus]
    stream = b"".join(frames) + struct.pack(">LLLL", length, 4, 0, 77) + rest
    for chunks in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        splitter = FrameSplitter()
        assert feed_all(splitter, chunks) == frames
        assert splitter.broken is not None
        assert splitter.broken.command_status == 0x02
        assert splitter.broken.sequence_number == 77
        assert splitter.broken.command_id == 4
        with pytest.raises(PduError):
            splitter.feed(LINK)


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=12))
def test_arbitrary_octets_cut_anyhow_give_the_same_frames_and_the_same_verdict(stream: bytes, cuts: list[int]) -> None:
    whole, cut = FrameSplitter(), FrameSplitter()
    assert feed_all(whole, [stream]) == feed_all(cut, chunked(stream, cuts))
    assert (whole.broken is None) == (cut.broken is None)


def test_an_announced_length_is_not_allocated_before_it_arrives() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(struct.pack(">LLLL", MAX_PDU, 4, 0, 1)) == []
    assert splitter.pending == 16


def test_bytearrays_and_memoryviews_are_taken_and_not_kept() -> None:
    buffer = bytearray(LINK + LINK[:7])
    splitter = FrameSplitter()
    assert splitter.feed(memoryview(buffer)) == [LINK]
    buffer[:] = b"\xff" * len(buffer)
    assert splitter.feed(bytearray(LINK[7:])) == [LINK]

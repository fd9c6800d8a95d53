"""Partitions as Java computes them, commits that never pass a gap, dead letters that do not drain a topic."""

import pytest
from aiokafka.partitioner import murmur2 as slow_murmur2
from hypothesis import given
from hypothesis import strategies as st
from shared.kafka.dead_letters import DeadLetterLimit, dead_letter
from shared.kafka.finished import FinishedOffsets
from shared.kafka.partition import murmur2, partition_for


# Values of org.apache.kafka.common.utils.Utils.murmur2 as its own unit test (UtilsTest) lists them.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_partitions_are_those_of_the_java_client(key: bytes, hashed: int) -> None:
    for partitions in (1, 2, 4, 24):
        assert partition_for(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


@given(st.binary(max_size=80))
def test_any_key_hashes_as_the_library_would_hash_it(key: bytes) -> None:
    assert murmur2(key) == slow_murmur2(key) & 0xFFFFFFFF


@given(st.permutations(range(12)), st.integers(0, 12))
def test_only_the_contiguous_finished_offsets_are_committable(order: list[int], done: int) -> None:
    offsets = FinishedOffsets(100)
    for n in range(12):
        offsets.take(100 + n)
    for n in order[:done]:
        offsets.finish(100 + n)
    finished = set(order[:done])
    expected = next((n for n in range(12) if n not in finished), 12)
    assert offsets.committable == 100 + expected
    assert offsets.open == 12 - expected


def test_offsets_with_gaps_left_by_compaction_commit_past_them() -> None:
    offsets = FinishedOffsets(5)
    for n in (5, 9, 20):
        offsets.take(n)
    offsets.finish(5)
    offsets.finish(9)
    offsets.finish(9)
    offsets.finish(77)
    assert offsets.committable == 10


def test_a_dead_letter_keeps_the_bytes_and_names_its_origin() -> None:
    record = dead_letter("sms.submit.mercure.bulk.v1", 1, 42, b"k", b"body", "why", 3)
    assert record.topic == "sms.submit.bulk.v1.dead"
    assert (record.key, record.value) == (b"k", b"body")
    assert dict(record.headers)["relais-origin-offset"] == b"42"


def test_too_many_dead_letters_in_a_minute_stop_the_burying() -> None:
    limit = DeadLetterLimit(10)
    assert not limit.exceeded(10, now=0)
    assert limit.exceeded(1, now=30)
    assert not limit.exceeded(1, now=95)

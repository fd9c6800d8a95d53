"""The Java client's default partitioner: murmur2 of the key, so that every producer agrees where a contact lives."""

from aiokafka.partitioner import murmur2


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a keyed record: `toPositive(murmur2(key)) % partitions`, as in Kafka's BuiltInPartitioner."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions

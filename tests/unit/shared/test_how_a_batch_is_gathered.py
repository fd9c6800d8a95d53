"""Few records are handled at once; of many, each partition gives its share, so that no topic runs ahead of another."""

import asyncio
from typing import NamedTuple

from aiokafka import TopicPartition
from shared.kafka.consumer import fetch_wait_ms
from shared.kafka.gather import BUSY, gather, until_rested_s

PREPARED, SUBMITTED = TopicPartition("prepared", 0), TopicPartition("submitted", 0)


class Record(NamedTuple):
    offset: int
    timestamp: int = 0


class Client:
    """Hands over whole partitions one by one, as aiokafka does; `coming` arrives with each further look at all."""

    def __init__(self, waiting: dict[TopicPartition, int], coming: dict[TopicPartition, int] | None = None) -> None:
        self._left = {tp: [Record(n) for n in range(count)] for tp, count in waiting.items()}
        self._coming = coming or {}
        self.asked = 0

    def assignment(self) -> set[TopicPartition]:
        for tp, count in self._coming.items():
            self._left[tp] += [Record(n) for n in range(count)]
        return set(self._left)

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        self.asked += 1
        found: dict[TopicPartition, list[Record]] = {}
        for tp in tps or list(self._left):
            taken, self._left[tp] = self._left[tp][:max_records], self._left[tp][max_records:]
            max_records -= len(taken)
            if taken:
                found[tp] = taken
        return found


async def gathered(client: Client, share: int = 500, gather_s: float = 30) -> dict[TopicPartition, int]:
    found = await gather(client, share, gather_s, asyncio.Event())  # type: ignore[arg-type]
    return {tp: len(records) for tp, records in found.items()}


async def test_a_topic_with_a_long_past_does_not_run_ahead_of_the_others() -> None:
    client = Client({PREPARED: 9000, SUBMITTED: 700})
    assert await gathered(client) == {PREPARED: 500, SUBMITTED: 500}
    assert await gathered(client) == {PREPARED: 500, SUBMITTED: 200}


async def test_few_records_wait_for_no_company() -> None:
    client = Client({PREPARED: 3, SUBMITTED: 4})
    assert await gathered(client) == {PREPARED: 3, SUBMITTED: 4}
    assert client.asked == 3


async def test_under_load_a_batch_takes_what_comes_meanwhile() -> None:
    client = Client({PREPARED: BUSY, SUBMITTED: 0}, coming={SUBMITTED: 300})
    assert await gathered(client, share=BUSY + 1) == {PREPARED: BUSY, SUBMITTED: BUSY + 1}


async def test_nothing_is_nothing() -> None:
    assert await gathered(Client({PREPARED: 0})) == {}


def test_the_youngest_record_decides_how_long_a_batch_rests() -> None:
    found = {PREPARED: [Record(1, 1_000), Record(2, 7_000)], SUBMITTED: [Record(1, 4_000)]}
    assert until_rested_s(found, rest_s=10, now_s=9) == 8
    assert until_rested_s(found, rest_s=10, now_s=20) == 0
    assert until_rested_s(found, rest_s=10, now_s=-500) == 10, "a clock that runs ahead holds nothing up for longer"


def test_where_one_time_codes_travel_the_brokers_answer_soon() -> None:
    codes = fetch_wait_ms(["sms.message.prepared.now.v1", "sms.message.returned.now.v1"])
    assert codes * 3 < 500, "three such waits between acceptance and carrier"
    assert fetch_wait_ms(["sms.message.prepared.bulk.v1"]) > codes

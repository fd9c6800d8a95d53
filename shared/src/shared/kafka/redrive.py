"""Dead letters once their cause is mended: looked at, sent back to where they came from, or let go.

What has been dealt with is the committed offset of one consumer group, so a command that dies in the middle goes on
where it was; letters that were sent back twice are repeats, which every handler of the road takes (promise 2). Each
command leaves a mark on the dead-letter topic itself: who, why, what, how many. So the audit lives as long as the
letters do.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.topics import TOPICS, topic_of
from shared.kafka.dead_letters import dead_topic
from shared.kafka.places import places_of

GROUP = "relais.redrive"
MARK = "relais-mark"
AT_ONCE = 500
FETCH_WITHIN_MS = 1_000


class Action(StrEnum):
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


class Letter(NamedTuple):
    """One dead letter, without what it says. `error` names the trouble, never the content."""

    place: TopicPartition
    offset: int
    at: int  # ms
    topic: str
    partition: int
    origin_offset: int
    error: str
    attempts: int
    key: bytes
    value: bytes


class Mark(msgspec.Struct):
    """What somebody did with letters of one dead-letter topic."""

    action: Action
    by: str
    why: str
    letters: int
    at: str  # RFC 3339


class Waiting(NamedTuple):
    """What lies on one dead-letter topic and has not been dealt with."""

    topic: str
    letters: int
    oldest: int | None  # ms
    errors: dict[str, int]
    marks: list[Mark]


def letter_of(record: Any) -> Letter | None:
    """A record of a dead-letter topic. None for what is no letter of ours: a mark, or a record without an origin."""
    headers = dict(record.headers)
    topic = headers.get("relais-origin-topic", b"").decode()
    try:
        if dead_topic(topic) != record.topic:
            return None
        return Letter(
            TopicPartition(record.topic, record.partition),
            record.offset,
            record.timestamp,
            topic,
            int(headers["relais-origin-partition"]),
            int(headers["relais-origin-offset"]),
            headers["relais-error"].decode(errors="replace"),
            int(headers["relais-attempts"]),
            record.key or b"",
            record.value or b"",
        )
    except (KeyError, ValueError):
        return None


def mark_of(record: Any) -> Mark | None:
    said = dict(record.headers).get(MARK)
    try:
        return None if said is None else msgspec.json.decode(said, type=Mark)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def dead_topics() -> list[str]:
    """Every dead-letter topic that the declarations know."""
    names = {dead_topic(t.named("x") if t.carrier else t.name) for t in TOPICS if t.consumers and not t.changelog}
    return sorted(names)


class DeadLetters:
    """An operator's view of the dead-letter topics. An async context: connected inside, KafkaError when it cannot."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._producer.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def waiting(self) -> list[Waiting]:
        """What waits on each dead-letter topic that exists, and what was done there before."""
        there = await self._existing()
        topics = [topic for topic in dead_topics() if topic in there]
        places, ends = await self._places(topics)
        dealt_with = {place: await self._consumer.position(place) for place in places}
        await self._consumer.seek_to_beginning(*places)
        errors: dict[str, Counter[str]] = {topic: Counter() for topic in topics}
        oldest: dict[str, int] = {}
        marks: dict[str, list[Mark]] = {topic: [] for topic in topics}
        async for records in self._batches(places, ends):
            for record in records:
                letter, mark = letter_of(record), mark_of(record)
                if mark is not None:
                    marks[record.topic].append(mark)
                elif letter is not None and letter.offset >= dealt_with[letter.place]:
                    errors[record.topic][letter.error] += 1
                    oldest[record.topic] = min(letter.at, oldest.get(record.topic, letter.at))
        return [Waiting(t, errors[t].total(), oldest.get(t), dict(errors[t]), marks[t]) for t in topics]

    async def redrive(self, topic: str, *, by: str, why: str, now: datetime | None = None) -> int:
        """Sends every waiting letter of `topic` back to the partition it came from; how many. KeyError for a topic
        that is no dead-letter topic."""
        return await self._deal(topic, Action.REDRIVEN, by, why, now)

    async def discard(self, topic: str, *, by: str, why: str, now: datetime | None = None) -> int:
        """Lets every waiting letter of `topic` go: it stays on the topic until its retention ends; how many."""
        return await self._deal(topic, Action.DISCARDED, by, why, now)

    async def _existing(self) -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    async def _places(self, topics: Sequence[str]) -> tuple[list[TopicPartition], dict[TopicPartition, int]]:
        """The topics' partitions, each positioned at its first letter not dealt with, and their ends as of now."""
        places = await places_of(self._bootstrap, topics)
        self._consumer.assign(places)
        starts, ends = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        for place in places:
            self._consumer.seek(place, max(await self._consumer.committed(place) or 0, starts[place]))
        return places, ends

    async def _batches(self, places: Sequence[TopicPartition], ends: dict[TopicPartition, int]) -> Any:
        while any([await self._consumer.position(place) < ends[place] for place in places]):
            for records in (await self._consumer.getmany(timeout_ms=FETCH_WITHIN_MS, max_records=AT_ONCE)).values():
                yield [r for r in records if r.offset < ends[TopicPartition(r.topic, r.partition)]]

    async def _deal(self, topic: str, action: Action, by: str, why: str, now: datetime | None) -> int:
        if topic not in dead_topics():
            raise KeyError(f"{topic} is no dead-letter topic; there are: {', '.join(dead_topics())}")
        places, ends = await self._places([topic])
        dealt = 0
        async for records in self._batches(places, ends):
            letters = [letter for letter in map(letter_of, records) if letter is not None]
            if action is Action.REDRIVEN:
                await asyncio.gather(*[await self._send_back(letter) for letter in letters])
            # After the brokers have them again, never before: a crash here repeats, and loses nothing.
            if records:
                last = records[-1]
                await self._consumer.commit({TopicPartition(last.topic, last.partition): last.offset + 1})
            dealt += len(letters)
        if dealt:
            moment = (now or datetime.now(UTC)).isoformat(timespec="seconds")
            mark = Mark(action, by, why, dealt, moment)
            await self._producer.send_and_wait(topic, b"", headers=[(MARK, msgspec.json.encode(mark))])
        return dealt

    async def _send_back(self, letter: Letter) -> Any:
        topic_of(letter.topic)  # undeclared by now: KeyError, before anything is sent where nobody listens
        came_from = f"{letter.place.topic}:{letter.place.partition}:{letter.offset}".encode()
        return await self._producer.send(
            letter.topic,
            letter.value,
            key=letter.key or None,
            partition=letter.partition,
            headers=[("relais-redriven-from", came_from)],
        )

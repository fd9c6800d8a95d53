"""Faust over the carriers' deltas: hopping windows of a minute, and from each the carrier's quality.

Faust is at its best on a few pre-aggregated events a second, and that is all it gets. It runs inside our service: our
process, our signals, our health. It makes no topics; its one internal topic is declared as QUALITY_CHANGELOG.

A delta that comes twice counts twice, which blurs one window and is gone a minute later.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust
from shared.clock import Clock
from shared.contracts.avro import NotAvroError, codec_of
from shared.contracts.events import CarrierDelta
from shared.contracts.topics import DELTA, QUALITY, QUALITY_CHANGELOG
from shared.errors import RetryLaterError
from shared.kafka.dead_letters import dead_letter
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger

from analytics.domain.quality import NOTHING, STEP_S, WINDOW_S, added, quality_of, sums_of

GROUP = "analytics.quality"
KEPT_S = 600  # how long a window stays in the table
TELL_S = 0.5
STOP_WITHIN_S = 3.0


class QualityWindows:
    """`run` until `stop`. `ready` once its table has been rebuilt from the changelog."""

    def __init__(self, bootstrap: str, state_dir: Path, publisher: Publisher, schemas: SchemaIds, clock: Clock) -> None:
        self._bootstrap, self._state_dir = bootstrap, state_dir
        self._publisher, self._schemas, self._clock = publisher, schemas, clock
        self._stopping = asyncio.Event()
        self._app: Any = None
        self._table: Any = None
        self._changed: dict[tuple[str, str], float] = {}  # carrier and country to the last delta's time, s
        self._log = logger(part="quality")

    @property
    def ready(self) -> bool:
        app = self._app
        return bool(app and app.started and not app.rebalancing and not app.crashed and self._recovered())

    def _recovered(self) -> bool:
        recovery = self._app.tables.recovery
        return bool(recovery.completed.is_set() and not recovery.in_recovery)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """RuntimeError when Faust has crashed: whoever supervises the process starts it again."""
        for noisy in ("faust", "mode"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        # Its own schema ids, besides those it publishes: deltas come in this build's schema or in one looked up.
        await self._schemas.load_topics([DELTA.name])
        app = self._app = self._make()
        await app.start()
        ended = asyncio.create_task(app.wait_until_stopped())
        stopping = asyncio.create_task(self._stopping.wait())
        telling = asyncio.create_task(self._tell())
        try:
            await asyncio.wait([ended, stopping, telling], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ended, stopping, telling):
                task.cancel()
            try:
                await asyncio.wait_for(app.stop(), STOP_WITHIN_S)
            except TimeoutError:
                self._log.warning("Faust did not stop in time; its offsets are repeated after the restart")
        if not self._stopping.is_set():
            raise RuntimeError("Faust has stopped by itself") from app.crash_reason

    def _make(self) -> Any:
        app = faust.App(
            GROUP,
            broker=[f"kafka://{address.strip()}" for address in self._bootstrap.split(",")],
            store="memory://",  # a few carriers and countries; the changelog rebuilds it in a moment
            datadir=str(self._state_dir),
            topic_allow_declare=False,  # topics are made by the topics job alone
            topic_disable_leader=True,
            topic_partitions=1,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=10,  # Faust's own minute would keep a killed replica's windows from everyone so long
            broker_heartbeat_interval=2,
            broker_rebalance_timeout=30,
            broker_commit_interval=1,  # what a kill makes count twice
            web_enabled=False,  # our service answers for it
            autodiscover=False,
        )
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        deltas = app.topic(DELTA.name, **raw)
        changelog = app.topic(
            QUALITY_CHANGELOG.name, partitions=1, key_type=None, value_type=None, key_serializer="json", value_serializer="json"
        )  # fmt: skip
        table = app.Table(
            "windows",
            default=lambda: list(NOTHING),
            partitions=1,
            changelog_topic=changelog,
        )
        windows = table.hopping(WINDOW_S, STEP_S, expires=KEPT_S)
        table.changelog_topic = changelog  # `hopping` has forgotten it

        async def measure(stream: Any) -> None:
            # One by one, since a table's changelog takes its partition from the event in hand.
            async for event in stream.events():
                await self._measure(windows, event)

        app.agent(deltas, name="measure")(measure)
        self._table = table
        return app

    async def _measure(self, windows: Any, event: Any) -> None:
        """Adds a delta to its windows. An exception here would lose the event, so that what is outside is waited for."""
        message = event.message
        try:
            delta = await self._decoded(message)
        except NotAvroError as error:
            self._log.error("record buried", offset=message.offset, error=str(error))
            buried = dead_letter(
                message.topic, message.partition, message.offset, message.key, message.value, str(error), 1
            )
            await self._publish([buried])
            return
        windows[_key(delta.carrier, delta.country)].apply(added, sums_of(delta), event)
        self._changed[delta.carrier, delta.country] = message.timestamp

    async def _tell(self) -> None:
        """Publishes, a few times a second at most, the quality of each carrier and country that has changed."""
        while True:
            await asyncio.sleep(TELL_S)
            changed, self._changed = self._changed, {}
            records = []
            for (carrier, country), at in changed.items():
                # Of the windows that are open the earliest is the fullest: the last 50 to 60 seconds.
                sums = self._table.get((_key(carrier, country), self._table.window.earliest(at)), NOTHING)
                quality = quality_of(carrier, country, sums, self._clock())
                records.append(self._publisher.record(QUALITY.name, f"{carrier}:{country}", quality))
            await self._publish(records)

    async def _decoded(self, message: Any) -> CarrierDelta:
        """NotAvroError for what is no delta. Waits while its schema is unknown and the registry away."""
        body: bytes = message.value or b""
        while True:
            try:
                await self._schemas.load_writers({int.from_bytes(body[1:5], "big")} if body[:1] == b"\0" else set())
                break
            except RetryLaterError as error:
                self._log.warning("deltas wait", error=str(error))
                await asyncio.sleep(1)
        try:
            found: CarrierDelta = codec_of(CarrierDelta).decode(body, self._schemas.writer_of)
        except KeyError as error:
            raise NotAvroError("a schema id that the registry does not know") from error
        return found

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        """Waits while the brokers are away."""
        while records:
            try:
                await self._publisher.publish(records)
                break
            except RetryLaterError as error:
                self._log.warning("quality waits", error=str(error))
                await asyncio.sleep(1)


def _key(carrier: str, country: str) -> str:
    return f"{carrier}|{country}"

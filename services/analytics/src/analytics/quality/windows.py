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
from shared.contracts.events import CarrierDelta, CarrierQuality
from shared.contracts.topics import DELTA, QUALITY, QUALITY_CHANGELOG
from shared.errors import RetryLaterError
from shared.kafka.dead_letters import dead_letter
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from analytics.domain.quality import HOUR_S, STEP_S, WINDOW_S, Sums, added, quality_of, sums_of, total

Way = tuple[str, str]  # carrier and country
GROUP = "analytics.quality"
KEPT_S = HOUR_S + 600  # how long a window stays in the table
TELL_S = 0.5
STOP_WITHIN_S = 3.0


class QualityWindows:
    """`run` until `stop`. `ready` once its table has been rebuilt from the changelog."""

    def __init__(
        self,
        bootstrap: str,
        state_dir: Path,
        publisher: Publisher,
        schemas: SchemaIds,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._bootstrap, self._state_dir = bootstrap, state_dir
        self._publisher, self._schemas, self._clock = publisher, schemas, clock
        self._stopping = asyncio.Event()
        self._app: Any = None
        self._table: Any = None
        self._changed: dict[Way, float] = {}  # to the last delta's time, s
        self._known: set[Way] = set()
        self._suspicion = metrics.gauge("relais_carrier_suspicion")
        self._anomaly = metrics.gauge("relais_carrier_anomaly")
        self._odd: dict[Way, set[str]] = {}
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
            default=lambda: list(Sums()),
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
        windows[_key((delta.carrier, delta.country))].apply(added, sums_of(delta), event)
        self._changed[delta.carrier, delta.country] = message.timestamp

    async def _tell(self) -> None:
        """Publishes, a few times a second at most, the quality of each carrier and country that has changed."""
        while True:
            await asyncio.sleep(TELL_S)
            changed, self._changed = self._changed, {}
            records = []
            self._known |= {_way(key) for key, _ in self._table} if not self._known else set(changed)
            for way, at in changed.items():
                quality = self._quality(way, at)
                self._alert(way, quality)
                records.append(self._publisher.record(QUALITY.name, f"{way[0]}:{way[1]}", quality))
            await self._publish(records)

    def _quality(self, way: Way, at: float) -> CarrierQuality:
        # Of the windows that are open the earliest is the fullest: the last 50 to 60 seconds.
        window = Sums(*self._window(way, at))
        others = [self._hour(other, at) for other in self._known if other != way and other[1] == way[1]]
        return quality_of(*way, window, self._hour(way, at), others, self._clock())

    def _hour(self, way: Way, at: float) -> Sums:
        """The windows that end where the next begins, an hour of them."""
        return total(self._window(way, at - back) for back in range(0, HOUR_S, WINDOW_S))

    def _window(self, way: Way, at: float) -> Sequence[Any]:
        found: Sequence[Any] = self._table.get((_key(way), self._table.window.earliest(at)), ())
        return found

    def _alert(self, way: Way, quality: CarrierQuality) -> None:
        place = {"carrier": way[0], "country": way[1]}
        self._suspicion.set(quality.suspicion, place)
        before, now = self._odd.get(way, set()), set(quality.anomalies)
        for kind in before | now:
            self._anomaly.set(int(kind in now), {**place, "kind": kind})
        for kind in sorted(now - before):
            self._log.warning("a carrier behaves unlike the hour before", kind=kind, **place)
        self._odd[way] = now

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


def _key(way: Way) -> str:
    return "|".join(way)


def _way(key: str) -> Way:
    carrier, country = key.rsplit("|", 1)
    return carrier, country

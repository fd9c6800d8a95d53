"""How fast one dlr-processor handler is, and what a message costs: `python tests/bench/ledger.py [messages] [messages a batch]`.

Starts a durable PostgreSQL of its own. Each message has accepted, prepared, submitted and a receipt, decoded from Avro
as the consumer does, and its status records encoded and put in the outbox; Kafka itself is left out.
`together`: the four records of a message meet in one batch. `apart`: three batches, the ledger's row read and written
in each. `replicas`: the figure of the service, 10,000 messages a second on two cores: messages that the ledger knows get
one submitted record and one receipt each, in two processes at once. Own CPU is this process's (of `replicas`, both
processes'); PostgreSQL's is that of all its processes, its write-ahead log flushed at every commit.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from dlr_processor.adapters.post_callback import CallbackPoster
from dlr_processor.adapters.secrets import SecretBox
from dlr_processor.adapters.segmenter import OptOutPump
from dlr_processor.callbacks import CallbackWorker
from dlr_processor.handlers import LedgerHandler
from dlr_processor.housekeeping import Housekeeping
from own_postgres import own_postgres
from shared.clock import now_ms
from shared.contracts.avro import codec_of
from shared.contracts.events import MessageStatus
from shared.crypto.ids import NumberIndex
from shared.crypto.tokens import Tokens
from shared.db.database import Database
from shared.db.outbox import OutboxPump
from shared.db.roles import DATABASE
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing
from shared.telemetry.metrics import Metrics
from stack.dlr_processor.ledger_world import Story

BATCH = 2000  # messages; under load the consumer gathers the records of up to 4,000


class PaperPublisher:
    def record(self, topic: str, key: str, event: MessageStatus) -> Outgoing:
        return Outgoing(topic, key.encode(), codec_of(MessageStatus).encode(event, 1))


def encoded(event: Any) -> tuple[type[Any], bytes]:
    return type(event), codec_of(type(event)).encode(event, 1)


def decoded(records: list[tuple[type[Any], bytes]]) -> list[Received]:
    batch = []
    for offset, (kind, body) in enumerate(records):
        codec = codec_of(kind)
        batch.append(Received("", 0, offset, None, 0, (), codec.decode(body, lambda _, c=codec: c._schema)))
    return batch


def cpu_of_postgres(postmaster: int, seen: dict[int, float]) -> float:
    """Backends end; what they had used stays counted."""
    for process in [psutil.Process(postmaster), *psutil.Process(postmaster).children(recursive=True)]:
        try:
            times = process.cpu_times()
            seen[process.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            pass
    return sum(seen.values())


async def measure(name: str, handler: LedgerHandler, batches: list[Any], messages: int, postmaster: int) -> None:
    seen: dict[int, float] = {}
    database = cpu_of_postgres(postmaster, seen)
    started, own = time.perf_counter(), time.process_time()
    for batch in batches:
        await handler.handle(decoded(batch))
    elapsed, own = time.perf_counter() - started, time.process_time() - own
    database = cpu_of_postgres(postmaster, seen) - database
    tell(name, messages, elapsed, own, database)


def tell(name: str, messages: int, elapsed: float, own: float, database: float) -> None:
    print(
        f"{name:10} {messages / elapsed:8.0f} messages/s   own CPU {own / messages * 1e6:6.1f} us a message   "
        f"PostgreSQL {database / messages * 1e6:6.1f} us a message"
    )


def stories(count: int) -> list[Story]:
    return [Story() for _ in range(count)]


def make_handler(database: Database) -> tuple[LedgerHandler, Housekeeping]:
    publisher: Any = PaperPublisher()
    metrics, master = Metrics("bench"), os.urandom(32)
    handler = LedgerHandler(
        database=database, publisher=publisher, outbox=OutboxPump(database, publisher, "bench"),
        callbacks=CallbackWorker(database, CallbackPoster(allow_loopback=True), SecretBox(master), metrics, now_ms),
        opt_outs=OptOutPump(database, Tokens("x"), "http://127.0.0.1:1", "dlr-processor"),
        numbers=NumberIndex(master), master=master, metrics=metrics, now_ms=now_ms,
    )  # fmt: skip
    return handler, Housekeeping(database, handler, metrics, now_ms, retention_days=35)


async def replica(url: str, messages: int, size: int) -> None:
    """One of two processes: gets ready, waits for a line, works, prints its CPU seconds."""
    database = Database(url, "bench", pool_size=4)
    await database.open()
    handler, _ = make_handler(database)
    cut = [stories(size) for _ in range(messages // size)]
    for part in cut:
        await handler.handle(decoded([encoded(e) for s in part for e in (s.accepted(), s.prepared())]))
    batches = [[encoded(e) for s in part for e in (s.submitted(), s.receipt())] for part in cut]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    own = time.process_time()
    for batch in batches:
        await handler.handle(decoded(batch))
    print(time.process_time() - own, flush=True)
    await asyncio.to_thread(
        sys.stdin.readline
    )  # its connections stay: what their server processes used is still to be read
    await database.close()


async def replicas(url: str, messages: int, size: int, postmaster: int) -> None:
    each = messages // 2 // size * size
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--replica", str(each), str(size), env={**os.environ, "RELAIS_DATABASE_URL": url},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
    seen: dict[int, float] = {}
    server, started = cpu_of_postgres(postmaster, seen), time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
    own = 0.0
    for worker in workers:
        assert worker.stdout is not None
        own += float(await worker.stdout.readline())
    elapsed, server = time.perf_counter() - started, cpu_of_postgres(postmaster, seen) - server
    for worker in workers:
        await worker.communicate(b"end\n")
    tell("replicas", 2 * each, elapsed, own, server)


async def main(messages: int, size: int) -> None:
    async with own_postgres("dlr_processor") as postgres:
        url = postgres.url(user="relais_dlr_processor", password="secret", database=DATABASE)
        database = Database(url, "bench", pool_size=4)
        await database.open()
        handler, housekeeping = make_handler(database)
        await housekeeping.partitions()
        postmaster = postgres.process.pid
        cut = [stories(size) for _ in range(messages // size)]
        together = [
            [encoded(event) for s in part for event in (s.accepted(), s.prepared(), s.submitted(), s.receipt())]
            for part in cut
        ]
        await handler.handle(
            decoded([encoded(e) for e in (Story().prepared(), Story().submitted(), Story().receipt())])
        )
        await measure("together", handler, together, messages, postmaster)
        cut = [stories(size) for _ in range(messages // size)]
        apart = [
            [encoded(event) for s in part for event in events(s)]
            for part in cut
            for events in (
                lambda s: (s.accepted(), s.prepared()),
                lambda s: (s.submitted(),),
                lambda s: (s.receipt(),),
            )
        ]
        await measure("apart", handler, apart, messages, postmaster)
        await database.close()
        await replicas(url, messages, size, postmaster)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--replica"]:
        asyncio.run(replica(os.environ["RELAIS_DATABASE_URL"], int(sys.argv[2]), int(sys.argv[3])))
    else:
        numbers = [int(argument) for argument in sys.argv[1:]]
        asyncio.run(main(*numbers, *(20_000, BATCH)[len(numbers) :]))

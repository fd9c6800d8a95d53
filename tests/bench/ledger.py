"""How fast one dlr-processor handler is, and what a message costs: `python tests/bench/ledger.py [messages]`.

Starts a durable PostgreSQL of its own. Each message has accepted, prepared, submitted and a receipt, decoded from Avro
as the consumer does, and its status records encoded and put in the outbox; Kafka itself is left out.
`together`: the four records of a message meet in one batch. `apart`: three batches, the ledger's row read and written
in each. Own CPU is this process's; PostgreSQL's is that of all its processes.
"""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
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
from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from shared.clock import now_ms
from shared.contracts.avro import codec_of
from shared.contracts.events import MessageStatus
from shared.crypto.ids import NumberIndex
from shared.crypto.tokens import Tokens
from shared.db.bootstrap import bootstrap
from shared.db.database import Database
from shared.db.outbox import OutboxPump
from shared.db.roles import DATABASE, OWNER, SERVICES
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing
from shared.telemetry.metrics import Metrics
from stack.dlr_processor.ledger_world import Story

BATCH = 500  # messages; 2,000 records is the consumer's poll


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
    print(
        f"{name:10} {messages / elapsed:8.0f} messages/s   own CPU {own / messages * 1e6:6.1f} us a message   "
        f"PostgreSQL {database / messages * 1e6:6.1f} us a message"
    )


def stories(count: int) -> list[Story]:
    return [Story() for _ in range(count)]


async def main(messages: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    os.chmod(home, 0o711)
    postgres = PostgresCluster(home / "postgres", free_port([]), secrets.token_urlsafe(16))
    await postgres.start()
    try:
        passwords = {"RELAIS_PASSWORD_OWNER": "owner", **{s.password_variable: "secret" for s in SERVICES}}
        await bootstrap(postgres.url(), passwords)
        owner = postgres.url(user=OWNER, password="owner", database=DATABASE)
        migrate = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dlr_processor", "migrate", env={**os.environ, "RELAIS_DATABASE_OWNER_URL": owner}
        )
        assert await migrate.wait() == 0
        database = Database(
            postgres.url(user="relais_dlr_processor", password="secret", database=DATABASE), "bench", pool_size=4
        )
        await database.open()
        publisher: Any = PaperPublisher()
        metrics, master = Metrics("bench"), os.urandom(32)
        handler = LedgerHandler(
            database=database, publisher=publisher, outbox=OutboxPump(database, publisher, "bench"),
            callbacks=CallbackWorker(database, CallbackPoster(allow_loopback=True), SecretBox(master), metrics, now_ms),
            opt_outs=OptOutPump(database, Tokens("x"), "http://127.0.0.1:1", "dlr-processor"),
            numbers=NumberIndex(master), master=master, metrics=metrics, now_ms=now_ms,
        )  # fmt: skip
        await Housekeeping(database, handler, metrics, now_ms, retention_days=35).partitions()
        postmaster = postgres.process.pid
        cut = [stories(BATCH) for _ in range(messages // BATCH)]
        together = [
            [encoded(event) for s in part for event in (s.accepted(), s.prepared(), s.submitted(), s.receipt())]
            for part in cut
        ]
        await handler.handle(
            decoded([encoded(e) for e in (Story().prepared(), Story().submitted(), Story().receipt())])
        )
        await measure("together", handler, together, messages, postmaster)
        cut = [stories(BATCH) for _ in range(messages // BATCH)]
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
    finally:
        await postgres.stop()
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))

"""How fast callbacks go out: `python tests/bench/callbacks.py [callbacks]`.

Starts a durable PostgreSQL of its own and a receiver process that answers each call after 20 ms. `single`: one callback
a call, to four endpoints. `batches`: endpoints that take 100 a call. A fifth endpoint answers nothing at all: how long the
living ones' callbacks waited is printed beside. The goals are 2,000/s and 10,000/s.
"""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from dlr_processor.adapters import callback_queue
from dlr_processor.adapters.callback_queue import Endpoint
from dlr_processor.adapters.post_callback import CallbackPoster
from dlr_processor.adapters.secrets import SecretBox, new_secret
from dlr_processor.callbacks import CallbackWorker
from dlr_processor.domain.fold import fold
from ledger import cpu_of_postgres, make_handler
from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from shared.clock import now_ms
from shared.db.bootstrap import bootstrap
from shared.db.database import Database
from shared.db.roles import DATABASE, OWNER, SERVICES
from shared.telemetry.metrics import Metrics
from stack.dlr_processor.ledger_world import Story
from unit.dlr_processor import ledger_events as e

ANSWER_S = 0.02
ALIVE = 4
BATCH = 100


class Receiver(asyncio.Protocol):
    """Just enough of HTTP to be no bottleneck: answers each request after 20 ms, and those to /dead never."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.left = b""

    def data_received(self, data: bytes) -> None:
        self.left += data
        while (end := self.left.find(b"\r\n\r\n")) >= 0:
            head = self.left[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.left) < end + 4 + length:
                return
            self.left = self.left[end + 4 + length :]
            if b"post /dead" not in head:
                asyncio.get_running_loop().call_later(ANSWER_S, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def receive(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def measure(name: str, database: Database, postmaster: int, port: int, count: int, batch: int) -> None:
    master, metrics = os.urandom(32), Metrics("bench")
    box, poster = SecretBox(master), CallbackPoster(allow_loopback=True)
    await poster.open()
    worker = CallbackWorker(database, poster, box, metrics, now_ms)
    endpoints = [
        Endpoint(str(uuid.uuid4()), f"http://127.0.0.1:{port}/{'dead' if n == ALIVE else n}", ["delivered"])
        for n in range(ALIVE + 1)
    ]
    async with database.hot("acme") as connection:
        for endpoint in endpoints:
            await connection.execute(
                "INSERT INTO callback_endpoints (endpoint_id, tenant_id, url, events, secret, made_at, batch) "
                "VALUES ($1, 'acme', $2, $3, $4, 0, $5)",
                endpoint.endpoint_id, endpoint.url, endpoint.events, box.close("acme", new_secret()), batch,
            )  # fmt: skip
    queued = 0
    for start in range(0, count, 500):
        stories = [Story() for _ in range(500)]
        changes = [
            fold(None, {}, [s.prepared(), s.submitted(), e.matched(s.receipt(), s.message_id)], s.now) for s in stories
        ]
        # The dead one has its share of the queue too.
        mine = (
            [endpoints[start // 500 % ALIVE], endpoints[ALIVE]]
            if start % 4_000 == 0
            else [endpoints[start // 500 % ALIVE]]
        )
        async with database.hot("acme") as connection:
            await callback_queue.enqueue(connection, changes, {"acme": mine}, now_ms())
        queued += 500
    alive = [endpoint.endpoint_id for endpoint in endpoints[:ALIVE]]
    seen: dict[int, float] = {}
    server, own, started = cpu_of_postgres(postmaster, seen), time.process_time(), time.perf_counter()
    running = asyncio.create_task(worker.run())
    while True:
        await asyncio.sleep(0.05)
        async with database.hot("*") as connection:
            left = await connection.fetchval(
                "SELECT true FROM callback_queue WHERE target = ANY($1::text[]) LIMIT 1", alive
            )
        if not left:
            break
    elapsed, own = time.perf_counter() - started, time.process_time() - own
    server = cpu_of_postgres(postmaster, seen) - server
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await poster.close()
    print(
        f"{name:8} {queued / elapsed:8.0f} callbacks/s to receivers that answer in 20 ms, one of five dead   "
        f"own CPU {own / queued * 1e6:6.1f} us a callback   PostgreSQL {server / queued * 1e6:6.1f} us a callback"
    )
    async with database.hot("*") as connection:
        await connection.execute("DELETE FROM callback_queue")
        await connection.execute("DELETE FROM callback_endpoints")


async def main(count: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    os.chmod(home, 0o711)
    postgres = PostgresCluster(home / "postgres", free_port([]), secrets.token_urlsafe(16))
    await postgres.start()
    port = free_port([])
    receiver = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--receive", str(port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        passwords = {"RELAIS_PASSWORD_OWNER": "owner", **{s.password_variable: "secret" for s in SERVICES}}
        await bootstrap(postgres.url(), passwords)
        owner = postgres.url(user=OWNER, password="owner", database=DATABASE)
        migrate = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dlr_processor", "migrate", env={**os.environ, "RELAIS_DATABASE_OWNER_URL": owner}
        )
        assert await migrate.wait() == 0
        assert receiver.stdout is not None
        assert await receiver.stdout.readline() == b"ready\n"
        url = postgres.url(user="relais_dlr_processor", password="secret", database=DATABASE)
        database = Database(url, "bench", pool_size=4)
        await database.open()
        _, housekeeping = make_handler(database)
        await housekeeping.partitions()
        await measure("single", database, postgres.process.pid, port, count, 1)
        await measure("batches", database, postgres.process.pid, port, count * 4, BATCH)
        await database.close()
    finally:
        receiver.kill()
        await receiver.wait()
        await postgres.stop()
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--receive"]:
        asyncio.run(receive(int(sys.argv[2])))
    else:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

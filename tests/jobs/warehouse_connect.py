"""Kafka Connect with the Iceberg sink, for real: `make warehouse-connect`, or `python tests/jobs/warehouse_connect.py [records]`.

Kafka, the registry and PostgreSQL of its own; the worker and its plugins as deploy/warehouse/kafka-connect ships them.
Half of the records are published, the worker is killed with -9 once the first have landed, started anew, and the rest
published: every event must be in the table once. Exit status 1 otherwise. Minutes, not seconds; no part of `make test`.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.events import MessageStatus, StateReached
from shared.contracts.topics import STATUS
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.parts import Parts, real_parts

CHECKOUT = Path(__file__).parents[2]
SHIPPED = CHECKOUT / "deploy" / "warehouse" / "kafka-connect"
CONNECT = CHECKOUT / "build" / "connect"
WAREHOUSE = CHECKOUT / "build" / "warehouse" / "bin" / "python"
PATIENCE_S = 240


class Worker:
    """The Connect worker with the shipped files; only paths and the port are this run's."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home, self._environment = home, environment
        text = (SHIPPED / "worker.properties").read_text()
        for was, now in (
            ("/opt/relais/connect/plugins", str(CONNECT / "plugins")), ("/var/lib/relais/connect.offsets", str(home / "offsets")),
            ("HTTP://:8083", f"HTTP://127.0.0.1:{free_port()}"),
        ):  # fmt: skip
            assert was in text, f"worker.properties names no {was} any more"
            text = text.replace(was, now)
        (home / "worker.properties").write_text(text)

    def start(self) -> None:
        with (self._home / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx512m", f"-Dlog4j2.configurationFile={CHECKOUT / 'deploy' / 'local' / 'log4j2.properties'}",
                 "-cp", f"{CONNECT}/libs/*", "org.apache.kafka.connect.cli.ConnectStandalone", str(self._home / "worker.properties"),
                 str(SHIPPED / "sink.properties")],
                env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def warehouse(environment: dict[str, str], command: str) -> str:
    done = subprocess.run(
        [str(WAREHOUSE), "-m", "relais_warehouse", command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


async def until(environment: dict[str, str], worker: Worker, rows: int) -> dict[str, int]:
    """What has landed, once it is so many rows."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found: dict[str, int] = json.loads(await asyncio.to_thread(warehouse, environment, "connect-count"))
        if found["rows"] >= rows:
            return found
        if worker.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{found} after {PATIENCE_S} s; the worker's log: {worker._home / 'worker.log'}")
        await asyncio.sleep(1)


async def publish(publisher: Publisher, count: int) -> None:
    at = now_ms()
    for start in range(0, count, 1_000):
        records = []
        for _ in range(min(1_000, count - start)):
            message_id = str(uuid.uuid4())
            event = MessageStatus(
                event_id=f"{message_id}:1", tenant_id="acme", occurred_at=at, message_id=message_id, version=1, status="delivered",
                states=[StateReached(state="delivered", at=at)], final=True, purpose="marketing", country="FR", carrier="iris",
                attempt=1, parts=1, cost=45_123, currency="EUR", accepted_at=at,
            )  # fmt: skip
            records.append(publisher.record(STATUS.name, message_id, event))
        await publisher.publish(records)


async def prove(parts: Parts, home: Path, count: int) -> int:
    password = secrets.token_urlsafe(16)
    await parts.postgres.create_database("iceberg", password)
    place = f"127.0.0.1:{parts.postgres.port}/iceberg"
    environment = {
        **os.environ, "PYTHONPATH": str(CHECKOUT / "deploy" / "warehouse" / "src"), "RELAIS_KAFKA_BOOTSTRAP": parts.bootstrap,
        "RELAIS_APICURIO_URL": parts.registry_url.split("/apis")[0], "RELAIS_ICEBERG_JDBC_URL": f"jdbc:postgresql://{place}",
        "RELAIS_ICEBERG_USER": "iceberg", "RELAIS_ICEBERG_PASSWORD": password, "RELAIS_ICEBERG_WAREHOUSE": f"file://{home}/tables",
        "RELAIS_ICEBERG_SQL_URL": f"postgresql+psycopg2://iceberg:{password}@{place}",
    }  # fmt: skip
    admin = AIOKafkaAdminClient(bootstrap_servers=parts.bootstrap)
    await admin.start()
    await admin.create_topics(
        [NewTopic("relais.iceberg.control.message-status", 1, 1), NewTopic("relais.iceberg.dead", 1, 1)]
    )
    await admin.close()
    sys.stdout.write(f"{len(warehouse(environment, 'connect-tables').split())} tables made\n")
    schemas = SchemaIds(parts.registry_url)
    publisher = Publisher(parts.bootstrap, schemas, [STATUS.name], Metrics("job"), client_id="warehouse-connect")
    await publisher.start()
    worker = Worker(home, environment)
    try:
        await publish(publisher, count // 2)
        started = time.monotonic()
        worker.start()
        first = await until(environment, worker, 1)
        sys.stdout.write(f"{first['rows']} rows {time.monotonic() - started:.0f} s after the start; kill -9\n")
        worker.kill()
        await publish(publisher, count - count // 2)
        started = time.monotonic()
        worker.start()
        await until(environment, worker, count)
        sys.stdout.write(f"all there {time.monotonic() - started:.0f} s after the second start\n")
        await asyncio.sleep(12)  # two commits more: what would land twice is there by then
        found = await until(environment, worker, count)
    finally:
        worker.kill()
        await publisher.close()
        await schemas.close()
    right = found == {"rows": count, "events": count}
    sys.stdout.write(
        f"{count} published, {found['rows']} rows, {found['events']} different: {'each once' if right else 'WRONG'}\n"
    )
    return 0 if right else 1


async def main(count: int) -> int:
    with tempfile.TemporaryDirectory(prefix="relais-connect-", ignore_cleanup_errors=True) as home:
        async with real_parts() as parts:
            try:
                return await prove(parts, Path(home), count)
            except SystemExit:
                sys.stderr.write((Path(home) / "worker.log").read_text()[-6_000:])
                raise


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)))

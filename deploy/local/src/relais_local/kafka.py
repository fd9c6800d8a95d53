"""One Kafka node, broker and controller in one process (KRaft), on loopback."""

import asyncio
import base64
import os
import shutil
import struct
import uuid
from pathlib import Path

from relais_local.errors import LocalStackError
from relais_local.java import java_binary
from relais_local.paths import CHECKOUT
from relais_local.ports import free_port, is_free
from relais_local.process import ChildProcess

LOG_CONFIGURATION = CHECKOUT / "deploy" / "local" / "log4j2.properties"

READY_WITHIN_S = 60.0

# One node keeps every internal topic once. Consumers join at once instead of waiting three seconds for others.
# Retention belongs to each topic, which `python -m shared.contracts apply` declares.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=33554432
broker.session.timeout.ms=6000
"""


class KafkaBroker:
    """`start()` returns when the broker answers; the data of an earlier start is still there."""

    name = "kafka"

    def __init__(
        self,
        data_dir: Path,
        port: int,
        *,
        controller_port: int | None = None,
        build: Path = CHECKOUT / "build",
        log: Path | None = None,
        pid_file: Path | None = None,
        heap_mb: int = 640,
        env: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = port
        self.controller_port = controller_port or free_port([port])
        self._libs = build / "kafka" / "libs"
        self._configuration = data_dir / "server.properties"
        self.process = ChildProcess(
            self.name,
            [
                java_binary(),
                f"-Xms{heap_mb // 2}m",
                f"-Xmx{heap_mb}m",
                # Compiling a broker to the last takes a local stack more than all its records (measured: 189 of 343 us a
                # message over 20,000 of them); a broker that runs for days is better off without this line.
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={LOG_CONFIGURATION}",
                "-cp",
                f"{self._libs}/*",
                "kafka.Kafka",
                str(self._configuration),
            ],
            {**os.environ, **(env or {})},
            log=log or data_dir / "kafka.log",
            pid_file=pid_file,
        )

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        for port in (self.port, self.controller_port):
            if not is_free(port):
                raise LocalStackError(f"Port {port}, meant for Kafka, is taken: stop what listens there and try again.")
        self._format()
        await self.process.start()
        await self._until_ready()

    async def stop(self, grace_s: float = 3.0) -> None:
        """A broker killed after `grace_s` loses nothing that it acknowledged: it reads its log again at the start."""
        await self.process.stop(grace_s)

    def _format(self) -> None:
        """Write the settings, and at the first start the three lines that make a directory a log directory.

        `kafka.tools.StorageTool format` writes the same `meta.properties` and a `bootstrap.checkpoint` with the
        metadata version, at the price of a second of Java; a node without that checkpoint takes the latest version.
        """
        logs = self.data_dir / "log"
        logs.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(
            PROPERTIES.format(port=self.port, controller_port=self.controller_port, logs=logs)
        )
        meta = logs / "meta.properties"
        if not meta.exists():
            shutil.rmtree(logs)
            logs.mkdir()
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            meta.write_text(f"version=1\nnode.id=1\ncluster.id={cluster}\n")

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while not await answers(self.port):
            if not self.process.alive:
                raise LocalStackError(
                    f"Kafka did not start: {self.process.last_line()!r}; its whole log is {self.process.log}."
                )
            if asyncio.get_running_loop().time() > deadline:
                raise LocalStackError(
                    f"Kafka was not ready after {READY_WITHIN_S:.0f} s: see {self.process.log} and try again."
                )
            await asyncio.sleep(0.1)


# ApiVersions request, version 0: length, key 18, version 0, correlation id 1, no client id (KIP-35). A broker answers
# it only when it is registered and unfenced: before that the connection is open and silent.
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


async def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether a Kafka broker on loopback answers requests."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_API_VERSIONS)
                head = await reader.readexactly(10)
                return struct.unpack(">iih", head)[1:] == (1, 0)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False

"""The whole of Relais for one test: the local stack's own parts in a temporary directory, on free ports.

    async with LocalStack(tmp_path, carriers=[simulated("mercure")]) as stack:
        async with aiohttp.ClientSession(headers=stack.headers) as client:
            await client.post(f"{stack.api}/v1/messages", json={...})

What dies is started again, as in `make run`, unless `stop_service` took it away.
"""

import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from relais_local.carriers_file import CarriersFile, parse_carriers
from relais_local.control import delete_everything
from relais_local.paths import Paths
from relais_local.plan import connector_name, control_name, port_names, simulator_name
from relais_local.ports import choose_ports, free_port
from relais_local.stack import Stack
from relais_local.stack_secrets import Secrets, load_or_make_secrets

# Small, since a test's data are few; durable all the same, since tests kill what runs.
SMALL: dict[str, Any] = {
    "postgres_settings": {"shared_buffers": "64MB", "max_wal_size": "1GB"},
    "kafka_heap_mb": 384,
}


def simulated(carrier_id: str, **fields: Any) -> dict[str, Any]:
    """An entry of the carriers file for a simulated carrier; `simulator={...}` sets its behaviour."""
    return {
        "id": carrier_id,
        "system_id": f"relais-{carrier_id}"[:15],
        "simulated": True,
        "prefixes": {"": "0.05"},
        **fields,
    }


class LocalStack:
    """One stack of its own. Everything listens on loopback; keys and passwords are random."""

    def __init__(
        self,
        directory: Path,
        carriers: Iterable[Mapping[str, Any]] | None = None,
        *,
        extra_env: Mapping[str, Mapping[str, str]] | None = None,
        roomy: bool = False,
    ) -> None:
        """`carriers` are entries of a carriers file, two simulated ones unless told.

        `extra_env` adds to the environment of a service (`"router"`, `"smpp-connector"`, `"smpp-connector-mercure"`),
        `""` to every one's. `roomy`: the memory that `make run` gives, for benches.
        """
        entries = [simulated("mercure"), simulated("iris")] if carriers is None else [dict(each) for each in carriers]
        self.carriers: CarriersFile = parse_carriers({"carriers": entries}, "of the test")
        self.paths = Paths(run=directory.resolve() / "stack")
        self.paths.make()
        self.ports = choose_ports(port_names(self.carriers), {})
        self.secrets: Secrets = load_or_make_secrets(self.paths.secrets)
        self.said: list[str] = []
        self.stack = Stack(
            self.paths,
            self.carriers,
            self.ports,
            self.secrets,
            say=self.said.append,
            extra_env=extra_env,
            **({} if roomy else SMALL),
        )

    async def __aenter__(self) -> Self:
        await self.stack.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops everything. The data go, unless the test failed: then they stay to be looked at."""
        await self.stack.stop()
        if kind is None:
            delete_everything(self.paths)

    @property
    def api(self) -> str:
        """The public door's address, without `/v1`."""
        return self.stack.api

    @property
    def key(self) -> str:
        """A key of the tenant `demo` that may do everything."""
        return self.secrets.api_key

    @property
    def other_key(self) -> str:
        """The same for the tenant `other`, which must see nothing of `demo`."""
        return self.secrets.other_key

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def other_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.other_key}"}

    @property
    def bootstrap(self) -> str:
        """Kafka's host and port."""
        return self.stack.kafka.bootstrap

    @property
    def registry_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['registry']}/apis/ccompat/v7"

    @property
    def admin_dsn(self) -> str:
        """The database `relais` as PostgreSQL's superuser, whom row-level security does not bind."""
        return self.stack.postgres.url(database="relais")

    def dsn(self, service: str) -> str:
        """The database `relais` as the role of a service."""
        return self.stack.postgres.url(
            user=f"relais_{service.replace('-', '_')}", password=self.secrets.database(service), database="relais"
        )

    def control(self, carrier_id: str) -> str:
        """The address at which a simulated carrier is told how to behave and what it saw."""
        return f"http://127.0.0.1:{self.ports[control_name(carrier_id)]}"

    def address(self, name: str) -> str:
        """A service's own HTTP address, for /readyz and /metrics."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def pids(self) -> dict[str, int]:
        """What runs now: services, `smpp-connector-<id>`, `smsc-<id>`, `kafka`, `registry`, `postgres`."""
        parts = self.stack.supervisor.parts
        return {name: part.process.pid for name, part in parts.items() if part.process.alive}

    def restarts(self, name: str) -> int:
        """How often it was started again."""
        return self.stack.supervisor.restarts[name]

    def log(self, name: str) -> str:
        return self.paths.log(name).read_text()

    def kill(self, name: str) -> None:
        """End it at once (SIGKILL); the supervisor starts it again."""
        self.stack.supervisor.send(name, signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Freeze it (SIGSTOP), as a long garbage collection or a lost host would."""
        self.stack.supervisor.send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.stack.supervisor.send(name, signal.SIGCONT)

    async def stop_service(self, name: str, *, grace_s: float = 5.0) -> None:
        """Stop it in good order and leave it stopped."""
        await self.stack.supervisor.stop([name], grace_s)

    async def start_service(self, name: str, *, replica: int = 1, ready: bool = True) -> str:
        """Start a stopped service again, or a further replica of it; its name, `segmenter-2` for `replica=2`."""
        if replica > 1:
            self.stack.ports[f"{name}-{replica}"] = self.ports[f"{name}-{replica}"] = free_port(self.ports.values())
        service = await self.stack.start_service(name, replica=replica)
        if ready:
            await self.stack.until_ready([service.name])
        return service.name

    async def until_ready(self, name: str, within_s: float = 30.0) -> None:
        await self.stack.until_ready([name], within_s)

    @staticmethod
    def connector(carrier_id: str) -> str:
        """The name of a carrier's connector."""
        return connector_name(carrier_id)

    @staticmethod
    def simulator(carrier_id: str) -> str:
        """The name of a carrier's simulator."""
        return simulator_name(carrier_id)

"""The whole stack: what leans on what, in which order it starts, and how it ends within ten seconds."""

import asyncio
import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from relais_local.carriers_file import CarriersFile
from relais_local.errors import LocalStackError
from relais_local.kafka import KafkaBroker
from relais_local.paths import CHECKOUT, Paths, write_private
from relais_local.plan import (
    Program,
    StackPlan,
    make_plan,
    simulator_settings_path,
    simulator_settings_yaml,
)
from relais_local.postgres import PostgresCluster
from relais_local.process import OWNER_MARK, last_line
from relais_local.registry import Registry
from relais_local.service import Service, run_job
from relais_local.stack_secrets import Secrets
from relais_local.supervisor import Supervisor

SERVICES_READY_WITHIN_S = 90.0

# Together less than the ten seconds that a person waits after Ctrl-C.
GRACE_SERVICES_S = 4.5
GRACE_SIMULATORS_S = 1.0
GRACE_KAFKA_S = 2.5
GRACE_POSTGRES_S = 1.5


class Stack:
    """One running copy of Relais with everything it needs, all on loopback."""

    def __init__(
        self,
        paths: Paths,
        carriers: CarriersFile,
        ports: Mapping[str, int],
        secrets: Secrets,
        *,
        say: Callable[[str], None],
        extra_env: Mapping[str, Mapping[str, str]] | None = None,
        postgres_settings: Mapping[str, str] | None = None,
        kafka_heap_mb: int = 640,
    ) -> None:
        """`carriers` may leave ports and passwords open; `say` gets one short line for each step of the start."""
        self.paths = paths
        self.ports = dict(ports)
        self.secrets = secrets
        self.carriers = carriers.completed(
            {c.id: ports.get(f"smsc-{c.id}", 0) for c in carriers.carriers}, secrets.smsc_password
        )
        self._say = say
        self._env = child_environment(paths)
        self.plan: StackPlan = make_plan(
            paths, self.carriers, self.ports, secrets, python=sys.executable, extra_env=extra_env
        )
        self.log = json_log(paths.log("supervisor"))
        self.supervisor = Supervisor(self.log)
        self.services: dict[str, Service] = {}
        self.kafka = KafkaBroker(
            paths.run / "kafka",
            ports["kafka"],
            controller_port=ports["kafka-controller"],
            build=paths.build,
            log=paths.log("kafka"),
            pid_file=paths.pid("kafka"),
            heap_mb=kafka_heap_mb,
            env=self._env,
        )
        self.postgres = PostgresCluster(
            paths.run / "postgres",
            ports["postgres"],
            secrets.database_superuser,
            log=paths.log("postgres"),
            pid_file=paths.pid("postgres"),
            settings=postgres_settings,
            env=self._env,
        )

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['ingest']}"

    async def start(self) -> None:
        """Start everything; returns when the API takes messages. Raises LocalStackError, with all stopped again."""
        begun = time.monotonic()
        try:
            self._write_settings()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_databases())
                group.create_task(self._start_simulators())
            self._say(f"Kafka, registry and PostgreSQL are up ({time.monotonic() - begun:.1f} s)")
            await self._start_services()
            await self._declare_carriers()
        except BaseException as error:
            await self.stop()
            raise plain(error) from None
        told = {
            "RELAIS_API": self.api,
            "RELAIS_KEY": self.secrets.api_key,
            "RELAIS_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
        }
        write_private(self.paths.env, "".join(f"{name}={value}\n" for name, value in told.items()))
        self._say(f"the stack is ready ({time.monotonic() - begun:.1f} s)")

    async def stop(self) -> None:
        """Stop in the reverse order of the start, each by force when its time is over. Harmless when repeated."""
        self.paths.env.unlink(missing_ok=True)
        simulators = [program.name for program in self.plan.simulators]
        parts = {"kafka", "registry", "postgres", *simulators}
        services = [name for name in reversed(self.supervisor.parts) if name not in parts]
        await self.supervisor.stop(services, GRACE_SERVICES_S)
        await self.supervisor.stop([*simulators, "registry"], GRACE_SIMULATORS_S)
        await self.supervisor.stop(["kafka"], GRACE_KAFKA_S)
        await self.supervisor.stop(["postgres"], GRACE_POSTGRES_S)

    async def start_service(self, name: str, *, replica: int = 1) -> Service:
        """Start a service of the plan, or a further replica of it; its port is the plan's or `ports[name-replica]`."""
        program = (
            self.plan.service(name)
            if replica == 1
            else self.plan.replica(name, replica, self.ports[f"{name}-{replica}"])
        )
        return await self._start_program(program)

    async def until_ready(self, names: Iterable[str], within_s: float = SERVICES_READY_WITHIN_S) -> None:
        """Wait until all these answer. Raises LocalStackError when one keeps ending, or takes longer."""
        waiting = list(names)
        deadline = time.monotonic() + within_s
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            while waiting:
                answers = await asyncio.gather(*(self.services[name].ready(client) for name in waiting))
                waiting = [name for name, ready in zip(waiting, answers, strict=True) if not ready]
                self.supervisor.check_start(waiting)
                if waiting and time.monotonic() > deadline:
                    log = self.paths.log(waiting[0])
                    raise LocalStackError(
                        f"{' and '.join(waiting)} took longer than {within_s:.0f} s to get ready; "
                        f"last words of {waiting[0]}: {last_line(log)!r}; its whole log is {log}."
                    )
                if waiting:
                    await asyncio.sleep(0.1)

    def _write_settings(self) -> None:
        write_private(self.paths.carriers, self.carriers.connections_yaml())
        for carrier in self.carriers.carriers:
            if carrier.simulated:
                write_private(
                    simulator_settings_path(self.paths, carrier.id), simulator_settings_yaml(carrier, self.ports)
                )

    async def _start_databases(self) -> None:
        """Kafka beside PostgreSQL and the registry; each job as soon as what it needs is up."""
        async with asyncio.TaskGroup() as group:
            kafka = group.create_task(self.supervisor.start(self.kafka))
            await self.supervisor.start(self.postgres)
            group.create_task(self._prepare_database())
            await self._start_registry()
            await kafka
            await self._once("topics", [self.plan.topics], ["shared"], data=[self._kafka_identity()])

    async def _prepare_database(self) -> None:
        await self._once("bootstrap", [self.plan.bootstrap], ["shared"])
        packages = ["shared", *(program.argv[2] for program in self.plan.migrations)]
        await self._once("migrations", self.plan.migrations, packages)

    async def _start_registry(self) -> None:
        url = await self.postgres.create_database("registry", self.secrets.database_registry)
        registry = Registry(
            url,
            self.ports["registry"],
            build=self.paths.build,
            log=self.paths.log("registry"),
            pid_file=self.paths.pid("registry"),
            env=self._env,
        )
        await self.supervisor.start(registry)

    async def _once(
        self, name: str, programs: Sequence[Program], packages: Sequence[str], *, data: Sequence[str] = ()
    ) -> None:
        """Run jobs, unless the same code with the same settings has already done so on the same data."""
        settings = [f"{program.argv}{sorted(program.env.items())}" for program in programs]
        database = (self.postgres.data / "global" / "pg_control").read_bytes()[:8]  # the cluster's own number
        digest = digest_of(packages, [*settings, *data, database.hex()])
        stamp = self.paths.stamps / name
        if stamp.exists() and stamp.read_text() == digest:
            return
        stamp.unlink(missing_ok=True)
        await asyncio.gather(*(run_job(program, self.paths, self._env) for program in programs))
        stamp.write_text(digest)

    def _kafka_identity(self) -> str:
        meta = (self.kafka.data_dir / "log" / "meta.properties").read_text()
        return next(line for line in meta.splitlines() if line.startswith("cluster.id="))

    async def _start_simulators(self) -> None:
        for program in self.plan.simulators:
            await self._start_program(program)
        await self.until_ready([program.name for program in self.plan.simulators])

    async def _start_services(self) -> None:
        for program in self.plan.services:
            await self._start_program(program)
        await self.until_ready([program.name for program in self.plan.services])

    async def _start_program(self, program: Program) -> Service:
        service = Service(program, self.paths, self._env)
        self.services[program.name] = service
        await self.supervisor.start(service)
        return service

    async def _declare_carriers(self) -> None:
        """Tell the router what each carrier costs, as an operator would: over the public API."""
        headers = {"Authorization": f"Bearer {self.secrets.api_key}"}
        deadline = time.monotonic() + 15
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as client:
            for carrier in self.carriers.carriers:
                while True:
                    trouble = await self._declare(client, carrier.id, carrier.commerce())
                    if not trouble:
                        break
                    if time.monotonic() > deadline:
                        raise LocalStackError(
                            f"The router does not take carrier {carrier.id}: {trouble}; see {self.paths.log('router')}."
                        )
                    await asyncio.sleep(0.2)

    async def _declare(self, client: aiohttp.ClientSession, carrier_id: str, commerce: Mapping[str, Any]) -> str:
        try:
            async with client.put(f"{self.api}/v1/carriers/{carrier_id}", json=commerce) as answer:
                return "" if answer.status < 300 else f"{answer.status} {(await answer.text())[:300]}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return repr(error)


def child_environment(paths: Paths) -> dict[str, str]:
    """What every process of the stack gets: our environment without what would mislead it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling every module anew would cost each process a second
    return {**ours, "PYTHONUNBUFFERED": "1", OWNER_MARK: str(paths.run.resolve())}


def digest_of(packages: Sequence[str], settings: Sequence[str]) -> str:
    """A digest over the source files of Python packages, the locked requirements, and settings."""
    digest = hashlib.sha256()
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise LocalStackError(f"The package {package} is not installed: run `make setup`.")
        root = Path(spec.origin).parent
        for file in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            digest.update(f"{file.relative_to(root)}\0".encode())
            digest.update(file.read_bytes())
    digest.update((CHECKOUT / "requirements.lock.txt").read_bytes())
    for setting in settings:
        digest.update(setting.encode() + b"\0")
    return digest.hexdigest()


def json_log(path: Path) -> Any:
    """A logger that appends JSON lines to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return structlog.wrap_logger(
        structlog.PrintLogger(path.open("a", buffering=1)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        service="supervisor",
    )


def plain(error: BaseException) -> BaseException:
    """The first LocalStackError within a group, or the error itself: a person reads one sentence."""
    if isinstance(error, BaseExceptionGroup):
        inner = [plain(each) for each in error.exceptions]
        return next((each for each in inner if isinstance(each, LocalStackError)), inner[0])
    return error

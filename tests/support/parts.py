"""Kafka, the registry and PostgreSQL, once for a test session, on free ports in a temporary directory.

`parts` is what the tests of one service ask for: the real things, bootstrapped, with every topic and role there. A
service's tables come from `migrated("segmenter")`. Nothing is ever skipped: what cannot start fails the tests.
"""

import asyncio
import base64
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest_asyncio
from relais_local.kafka import KafkaBroker
from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from relais_local.registry import Registry
from shared.contracts.apply import make_topics, register
from shared.db.bootstrap import bootstrap
from shared.db.roles import OWNER, SERVICES

CARRIERS = ("mercure", "iris")
TENANTS = ("acme", "other")  # two from the first day: the second must see nothing


@dataclass
class Parts:
    kafka: KafkaBroker
    postgres: PostgresCluster
    registry: Registry
    passwords: dict[str, str]
    master_key: str = field(default_factory=lambda: base64.b64encode(os.urandom(32)).decode())
    internal_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    migrated: set[str] = field(default_factory=set)

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    @property
    def registry_url(self) -> str:
        return self.registry.url

    @property
    def master(self) -> bytes:
        return base64.b64decode(self.master_key)

    def admin_url(self) -> str:
        return self.postgres.url(database="relais")

    def owner_url(self) -> str:
        return self.postgres.url(user=OWNER, password=self.passwords["RELAIS_PASSWORD_OWNER"], database="relais")

    def database_url(self, service: str) -> str:
        """The URL of a service's own role; `service` as in the folder's name."""
        role = next(s for s in SERVICES if s.service == service)
        return self.postgres.url(user=role.role, password=self.passwords[role.password_variable], database="relais")

    async def migrate(self, service: str) -> None:
        """Brings a service's tables up, once a session, by its own command."""
        if service in self.migrated:
            return
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", service.replace("-", "_"), "migrate", env=self.environment(service, 1)
        )
        assert await process.wait() == 0, f"{service} migrate failed"
        self.migrated.add(service)

    def environment(self, service: str, http_port: int, **more: str) -> dict[str, str]:
        """The settings of a service's process."""
        return {
            **os.environ,
            "RELAIS_SERVICE_NAME": service,
            "RELAIS_HTTP_HOST": "127.0.0.1",
            "RELAIS_HTTP_PORT": str(http_port),
            "RELAIS_KAFKA_BOOTSTRAP": self.bootstrap,
            "RELAIS_REGISTRY_URL": self.registry_url,
            "RELAIS_DATABASE_URL": self.database_url(service),
            "RELAIS_DATABASE_OWNER_URL": self.owner_url(),
            "RELAIS_MASTER_KEY": self.master_key,
            "RELAIS_INTERNAL_SECRET": self.internal_secret,
            "RELAIS_LOCAL": "true",
            "RELAIS_CARRIERS": ",".join(CARRIERS),
            **more,
        }


@asynccontextmanager
async def real_parts() -> AsyncIterator[Parts]:
    """Parts of one's own, for tests that read whole topics and must not find what others left there."""
    home = Path(tempfile.mkdtemp(prefix="relais-parts-"))
    os.chmod(home, 0o711)
    ports: list[int] = []
    for _ in range(4):
        ports.append(free_port(ports))
    kafka = KafkaBroker(home / "kafka", ports[0], controller_port=ports[1], heap_mb=512)
    postgres = PostgresCluster(home / "postgres", ports[2], secrets.token_urlsafe(16))
    registry: Registry | None = None
    try:
        await asyncio.gather(kafka.start(), postgres.start())
        registry = Registry(
            await postgres.create_database("registry", secrets.token_urlsafe(16)), ports[3], log=home / "registry.log"
        )
        passwords = {
            name: secrets.token_urlsafe(16)
            for name in ["RELAIS_PASSWORD_OWNER", *(s.password_variable for s in SERVICES)]
        }
        await asyncio.gather(
            registry.start(),
            bootstrap(postgres.url(), passwords),
            make_topics(kafka.bootstrap, CARRIERS, production=False, replication=1),
        )
        await register(registry.url, CARRIERS)
        yield Parts(kafka, postgres, registry, passwords)
    finally:
        if registry is not None:
            await registry.stop()
        await asyncio.gather(kafka.stop(), postgres.stop())
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parts() -> AsyncIterator[Parts]:
    async with real_parts() as found:
        yield found

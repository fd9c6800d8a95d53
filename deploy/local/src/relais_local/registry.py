"""Apicurio Registry on loopback: schemas under Confluent's API, kept in PostgreSQL so that ids outlive a restart."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp

from relais_local.errors import LocalStackError
from relais_local.java import java_binary
from relais_local.paths import CHECKOUT
from relais_local.ports import is_free
from relais_local.process import ChildProcess

READY_WITHIN_S = 60.0


class Registry:
    """`start()` returns when the list of subjects is answered."""

    name = "registry"

    def __init__(
        self,
        database_url: str,
        port: int,
        *,
        build: Path = CHECKOUT / "build",
        log: Path,
        pid_file: Path | None = None,
        heap_mb: int = 320,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`database_url` names an existing PostgreSQL database of the registry's own, with user and password."""
        self.port = port
        database = urlsplit(database_url)
        runners = sorted((build / "apicurio").glob("apicurio-registry-app-*-runner.jar"))
        if not runners:
            raise LocalStackError("Apicurio Registry is missing from build/: run `make setup`.")
        self.process = ChildProcess(
            self.name,
            [
                java_binary(),
                *(f"-Xmx{heap_mb}m", "-XX:+UseSerialGC"),
                "-XX:TieredStopAtLevel=1",  # it answers a few requests a minute: starting soon matters, speed does not
                "-Dapicurio.storage.kind=sql",
                "-Dapicurio.storage.sql.kind=postgresql",
                f"-Dapicurio.datasource.url=jdbc:postgresql://{database.hostname}:{database.port}{database.path}",
                "-Dapicurio.datasource.pool.initial-size=2",
                "-Dquarkus.http.host=127.0.0.1",
                f"-Dquarkus.http.port={port}",
                "-Dquarkus.log.console.json=false",
                "-jar",
                str(runners[-1]),
            ],
            {
                **os.environ,
                **(env or {}),
                # in the environment and not among the arguments, which every user of the machine may list
                "APICURIO_DATASOURCE_USERNAME": unquote(database.username or ""),
                "APICURIO_DATASOURCE_PASSWORD": unquote(database.password or ""),
            },
            log=log,
            pid_file=pid_file,
            cwd=build / "apicurio",
        )

    @property
    def url(self) -> str:
        """Confluent's API, version 7, as serializers expect it."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    async def start(self) -> None:
        if not is_free(self.port):
            raise LocalStackError(
                f"Port {self.port}, meant for the registry, is taken: stop what listens there and try again."
            )
        await self.process.start()
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
            while not await self._answers(client):
                if not self.process.alive:
                    raise LocalStackError(
                        f"The registry did not start: {self.process.last_line()!r}; "
                        f"its whole log is {self.process.log}."
                    )
                if asyncio.get_running_loop().time() > deadline:
                    raise LocalStackError(
                        f"The registry was not ready after {READY_WITHIN_S:.0f} s: "
                        f"see {self.process.log} and try again."
                    )
                await asyncio.sleep(0.1)

    async def stop(self, grace_s: float = 2.0) -> None:
        """Killed after `grace_s`: all its state is in PostgreSQL."""
        await self.process.stop(grace_s)

    async def _answers(self, client: aiohttp.ClientSession) -> bool:
        try:
            async with client.get(f"{self.url}/subjects") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

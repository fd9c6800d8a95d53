"""A PostgreSQL cluster of the stack's own, durable, on loopback, run by an unprivileged user."""

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg

from relais_local.errors import LocalStackError
from relais_local.paths import may_pass, outside_home
from relais_local.ports import is_free
from relais_local.process import ChildProcess

SUPERUSER = "postgres"

READY_WITHIN_S = 30.0

LONGEST_SOCKET_PATH = 107  # sockaddr_un.sun_path has 108 bytes with its end mark (unix(7))

# Six services with a pool each, twice while a replica takes over, the registry, and people looking.
DEFAULTS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "300",
    "shared_buffers": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "lz4",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # statements here take less time than compiling them
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class PostgresCluster:
    """`start()` makes the cluster where it is missing and returns when it takes connections."""

    name = "postgres"

    def __init__(
        self,
        data_dir: Path,
        port: int,
        password: str,
        *,
        log: Path | None = None,
        pid_file: Path | None = None,
        settings: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`password` becomes the superuser's when the cluster is made, and must stay the same afterwards.

        Root cannot run PostgreSQL: then the system's user `postgres` does, and a cluster below a directory which
        that user may not enter is kept under /var/tmp instead.
        """
        self.port = port
        self.password = password
        self._user = _server_user()
        self.home = data_dir
        if self._user and not may_pass(data_dir, self._user):
            self.home = outside_home(data_dir)
        self.data = self.home / "data"
        self._env = {**os.environ, **(env or {})}
        self._settings = {**DEFAULTS, **(settings or {})}
        self._binaries = newest_binaries()
        socket_path = self.home / f".s.PGSQL.{port}"
        self._settings["unix_socket_directories"] = (
            str(self.home) if len(str(socket_path)) <= LONGEST_SOCKET_PATH else ""
        )
        # PostgreSQL reads DateStyle and the like from its environment; it needs nothing else of ours.
        self.process = ChildProcess(
            self.name,
            [
                str(self._binaries / "postgres"),
                *("-D", str(self.data), "-p", str(port)),
                *(word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")),
            ],
            self._env,
            log=log or self.home / "postgres.log",
            pid_file=pid_file,
            cwd=Path("/"),
            user=self._user.pw_name if self._user else None,
            orphaned=signal.SIGINT,
        )

    def url(self, *, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        if not is_free(self.port):
            raise LocalStackError(
                f"Port {self.port}, meant for PostgreSQL, is taken: stop what listens there and try again."
            )
        if not (self.data / "PG_VERSION").exists():
            await self._initialise()
        self._refuse_other_version()
        await self.process.start()
        await self._until_ready()

    async def stop(self, grace_s: float = 5.0) -> None:
        """SIGINT is PostgreSQL's fast shutdown: sessions end, all is written. Killed, it recovers from its log."""
        await self.process.stop(grace_s, signal.SIGINT)

    async def create_database(self, name: str, password: str) -> str:
        """Create database `name` with an owner of the same name where missing; its URL."""
        connection = await asyncpg.connect(self.url())
        try:
            literal = password.replace("'", "''")
            if await connection.fetchval("select 1 from pg_roles where rolname = $1", name):
                await connection.execute(f"alter role \"{name}\" login password '{literal}'")
            else:
                await connection.execute(f"create role \"{name}\" login password '{literal}'")
            if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
                await connection.execute(f'create database "{name}" owner "{name}"')
                await connection.execute(f'revoke all on database "{name}" from public')
        finally:
            await connection.close()
        return self.url(user=name, password=password, database=name)

    def destroy(self) -> None:
        """Delete the stopped cluster."""
        shutil.rmtree(self.home, ignore_errors=True)

    async def _initialise(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if self.data.exists():
            shutil.rmtree(self.data)  # an initdb that was cut short: nothing was ever stored in it
        with tempfile.NamedTemporaryFile("w", dir=self.home, prefix="password-") as secret:
            secret.write(self.password)
            secret.flush()
            if self._user:
                for path in (self.home, Path(secret.name)):
                    os.chown(path, self._user.pw_uid, self._user.pw_gid)
            draft = self.home / "new"
            shutil.rmtree(draft, ignore_errors=True)
            initdb = ChildProcess(
                "initdb",
                [
                    str(self._binaries / "initdb"),
                    *("-D", str(draft), "-U", SUPERUSER, "--pwfile", secret.name),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"),
                    "--no-instructions",
                ],
                self._env,
                log=self.process.log,
                cwd=Path("/"),
                user=self._user.pw_name if self._user else None,
            )
            await initdb.start()
            try:
                code = await initdb.wait()
            finally:
                initdb.kill_group()  # only when this start is being called off
            if code != 0:
                raise LocalStackError(
                    f"PostgreSQL could not make its cluster in {self.home}: {initdb.last_line()!r}; "
                    f"its whole log is {initdb.log}."
                )
        draft.rename(self.data)

    def _refuse_other_version(self) -> None:
        ours = (self.data / "PG_VERSION").read_text().strip()
        programs = self._binaries.parent.name
        if ours != programs:
            raise LocalStackError(
                f"The data in {self.data} were written by PostgreSQL {ours} and this machine runs {programs}: "
                f"install PostgreSQL {ours}, or run `make clean` to begin anew."
            )

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while True:
            try:
                connection = await asyncpg.connect(self.url(), timeout=5)
                await connection.close()
                return
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
                pass  # it is still starting, or recovering after a crash
            except asyncpg.InvalidPasswordError as error:
                raise LocalStackError(
                    f"PostgreSQL in {self.data} has another superuser password than the stack's secrets: "
                    "bring the secrets back, or run `make clean` to begin anew."
                ) from error
            if not self.process.alive:
                raise LocalStackError(
                    f"PostgreSQL did not start: {self.process.last_line()!r}; its whole log is {self.process.log}."
                )
            if asyncio.get_running_loop().time() > deadline:
                raise LocalStackError(
                    f"PostgreSQL was not ready after {READY_WITHIN_S:.0f} s: see {self.process.log} and try again."
                )
            await asyncio.sleep(0.05)


def newest_binaries() -> Path:
    """Debian's directory of PostgreSQL's programs, of the newest version from 15 on."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    usable = sorted((int(path.parent.name), path) for path in found if path.parent.name.isdigit())
    if not usable or usable[-1][0] < 15:
        raise LocalStackError("PostgreSQL 15 or later is missing: run `make setup` as root, or install postgresql.")
    return usable[-1][1]


def _server_user() -> pwd.struct_passwd | None:
    """The user who runs the server: none (ourselves) unless we are root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise LocalStackError(
            "PostgreSQL does not run as root and the user `postgres` is missing: install postgresql."
        ) from None

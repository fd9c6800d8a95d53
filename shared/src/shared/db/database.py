"""A service's way to its schema: SQLAlchemy Core for the many queries, raw asyncpg for the few hot ones.

Every transaction names the tenants it is for; the server refuses rows of any other (row-level security).
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.db.migrate import EVERYONE, TENANT_SETTING, sqlalchemy_url
from shared.errors import RetryLaterError

# A server that is away, restarting, out of connections, or that chose this transaction as a deadlock's victim.
_PASSING = (
    OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError, asyncpg.DiskFullError, asyncpg.LockNotAvailableError,
)  # fmt: skip


@asynccontextmanager
async def passing_troubles() -> AsyncIterator[None]:
    """Turns the troubles of a database that will be back into RetryLaterError."""
    try:
        yield
    except _PASSING as error:
        raise RetryLaterError(f"PostgreSQL: {type(error).__name__}") from error
    except (OperationalError, InterfaceError) as error:
        raise RetryLaterError(f"PostgreSQL: {type(error).__name__}") from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error.orig.__cause__ if error.orig else None, _PASSING):
            raise RetryLaterError(f"PostgreSQL: {type(error).__name__}") from error
        raise


class Database:
    """Pools of one service. `engine` for SQLAlchemy, `pool` for raw asyncpg; both are opened by `open`."""

    engine: AsyncEngine
    pool: asyncpg.Pool

    def __init__(self, url: str, service: str, *, pool_size: int = 8) -> None:
        self._url, self._service, self._size = url, service, pool_size

    async def open(self) -> None:
        server = {"application_name": self._service, "jit": "off"}  # jit costs more than our short statements take
        async with passing_troubles():
            self.pool = await asyncpg.create_pool(
                self._url, min_size=1, max_size=self._size, server_settings=server, command_timeout=60, reset=_as_it_is
            )
        self.engine = create_async_engine(
            sqlalchemy_url(self._url), pool_size=self._size, max_overflow=0, pool_pre_ping=False,
            connect_args={"server_settings": server, "command_timeout": 60},
        )  # fmt: skip

    async def close(self) -> None:
        await self.engine.dispose()
        await self.pool.close()

    @asynccontextmanager
    async def transaction(self, tenants: str | Iterable[str]) -> AsyncIterator[AsyncConnection]:
        """A SQLAlchemy transaction that sees and writes these tenants' rows only."""
        async with passing_troubles(), self.engine.begin() as connection:
            await connection.execute(
                text("SELECT set_config(:name, :value, true)"), {"name": TENANT_SETTING, "value": _listed(tenants)}
            )
            yield connection

    @asynccontextmanager
    async def hot(self, tenants: str | Iterable[str]) -> AsyncIterator[Any]:
        """The same as a raw asyncpg connection in a transaction, for measured hot paths."""
        async with passing_troubles(), self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config($1, $2, true)", TENANT_SETTING, _listed(tenants))
            yield connection

    async def is_there(self) -> bool:
        try:
            return bool(await self.pool.fetchval("SELECT true", timeout=2))
        except _PASSING:
            return False


async def _as_it_is(connection: Any) -> None:
    """A connection goes back with nothing to reset: what a transaction sets it sets for itself alone (`SET LOCAL`,
    advisory locks of the transaction). The default would ask the server after every single one."""


def _listed(tenants: str | Iterable[str]) -> str:
    """One tenant, several, or EVERYONE for a background worker."""
    names = [tenants] if isinstance(tenants, str) else sorted(set(tenants))
    if any("," in name or (name == EVERYONE and len(names) > 1) for name in names):
        raise ValueError("a tenant's id has no comma")
    return ",".join(names)

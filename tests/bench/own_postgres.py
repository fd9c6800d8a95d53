"""A durable PostgreSQL of a bench's own: roles made, one service's tables there, gone afterwards."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from shared.db.bootstrap import bootstrap
from shared.db.roles import DATABASE, OWNER, SERVICES


@asynccontextmanager
async def own_postgres(service: str) -> AsyncIterator[PostgresCluster]:
    """`service` as its package is called. Its role's password, as every role's but the owner's, is `secret`."""
    home = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    os.chmod(home, 0o711)
    postgres = PostgresCluster(home / "postgres", free_port([]), secrets.token_urlsafe(16))
    try:
        await postgres.start()
        passwords = {"RELAIS_PASSWORD_OWNER": "owner", **{s.password_variable: "secret" for s in SERVICES}}
        await bootstrap(postgres.url(), passwords)
        owner = postgres.url(user=OWNER, password="owner", database=DATABASE)
        migrate = await asyncio.create_subprocess_exec(
            sys.executable, "-m", service, "migrate", env={**os.environ, "RELAIS_DATABASE_OWNER_URL": owner}
        )
        assert await migrate.wait() == 0
        yield postgres
    finally:
        await postgres.stop()
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)

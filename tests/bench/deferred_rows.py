"""The timer table on a PostgreSQL of its own: many rows that fall due together, taken in order and deleted, 500 at once.

Its answer is rows a second for two replicas' loops together, without deciding and publishing, and the memory it takes.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from router.adapters.deferred_store import DeferredStore, Kept
from shared.contracts.topics import Lane
from shared.db.bootstrap import bootstrap
from shared.db.database import Database
from shared.db.roles import OWNER, SERVICES

BODY = b"x" * 500  # a sealed record is about as long
BATCH = 500
KEEP = 5_000
REPLICAS = 2


def rows(first: int, count: int) -> list[Kept]:
    """Due one a millisecond, kept in another order."""
    return [
        Kept(str(uuid.uuid4()), f"tenant-{n % 20}", "bulk", "prepared", 1, (n * 7919) % (1 << 20), 0, "quiet_hours",
             f"contact-{n}", f"campaign-{n % 50}", BODY)
        for n in range(first, first + count)
    ]  # fmt: skip


async def release(store: DeferredStore, order: list[int]) -> None:
    while True:
        async with store.due(Lane.BULK, 1 << 40, BATCH) as due:
            if not due.rows:
                return
            order.append(due.rows[0].due_at)
            await due.done([row.message_id for row in due.rows])


async def run(database_url: str, count: int) -> dict[str, Any]:
    database = Database(database_url, "router")
    await database.open()
    store = DeferredStore(database)
    try:
        started = time.perf_counter()
        for first in range(0, count, KEEP):
            await store.keep(rows(first, min(KEEP, count - first)))
        kept_s = time.perf_counter() - started
        before = psutil.Process().memory_info().rss
        orders: list[list[int]] = [[] for _ in range(REPLICAS)]
        started = time.perf_counter()
        await asyncio.gather(*(release(store, order) for order in orders))
        released_s = time.perf_counter() - started
        grown = psutil.Process().memory_info().rss - before
    finally:
        await database.close()
    return {
        "rows": count, "kept_per_s": round(count / kept_s), "released_per_s": round(count / released_s),
        "in_due_order": all(order == sorted(order) for order in orders), "memory_grown_mb": round(grown / (1 << 20), 1),
    }  # fmt: skip


async def main(count: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="relais-deferred-"))
    os.chmod(home, 0o711)  # PostgreSQL runs as another user when this is root
    postgres = PostgresCluster(home / "postgres", free_port([]), secrets.token_urlsafe(16))
    try:
        await postgres.start()
        passwords = {
            name: secrets.token_urlsafe(16)
            for name in ["RELAIS_PASSWORD_OWNER", *(s.password_variable for s in SERVICES)]
        }
        await bootstrap(postgres.url(), passwords)
        owner = postgres.url(user=OWNER, password=passwords["RELAIS_PASSWORD_OWNER"], database="relais")
        migration = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "router", "migrate", env={**os.environ, "RELAIS_DATABASE_OWNER_URL": owner}
        )
        assert await migration.wait() == 0
        role = next(s for s in SERVICES if s.service == "router")
        url = postgres.url(user=role.role, password=passwords[role.password_variable], database="relais")
        print(json.dumps(await run(url, count), indent=2))
    finally:
        await postgres.stop()
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asyncio.run(main(parser.parse_args().rows))

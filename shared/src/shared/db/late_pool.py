"""The database's pool for parts that are made before it is open."""

from typing import Any

from shared.db.database import Database


class LatePool:
    """What `Vault` uses of an asyncpg pool."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def fetch(self, query: str, *args: object) -> list[Any]:
        return list(await self._db.pool.fetch(query, *args))

    async def execute(self, query: str, *args: object) -> str:
        return str(await self._db.pool.execute(query, *args))

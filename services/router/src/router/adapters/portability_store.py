"""What is known of ported numbers in PostgreSQL, by keyed hash: bought once for all replicas."""

from collections.abc import Iterable, Mapping, Sequence

from shared.db.database import Database
from shared.db.migrate import EVERYONE

from router.domain.portability import Known


class PortabilityStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, hashes: Sequence[str], now: int) -> dict[str, Known]:
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(
                "SELECT number_hash, network, expires_at FROM ported_numbers WHERE number_hash = ANY($1::text[]) AND expires_at > $2",
                hashes, now,
            )  # fmt: skip
        return {row[0]: Known(row[1], row[2]) for row in rows}

    async def keep(self, found: Mapping[str, Known], source: str) -> None:
        if not found:
            return
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute(
                "INSERT INTO ported_numbers (number_hash, network, source, expires_at) "
                "SELECT h, n, $3, e FROM unnest($1::text[], $2::text[], $4::bigint[]) AS g (h, n, e) ORDER BY h "
                "ON CONFLICT (number_hash) DO UPDATE SET (network, source, expires_at) = "
                "(excluded.network, excluded.source, excluded.expires_at)",
                list(found), [k.network for k in found.values()], source, [k.expires for k in found.values()],
            )  # fmt: skip

    async def anything(self) -> bool:
        async with self._database.hot(EVERYONE) as connection:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM ported_numbers)"))

    async def forget(self, now: int) -> None:
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute("DELETE FROM ported_numbers WHERE expires_at <= $1", now)

    async def count(self) -> Iterable[tuple[str, int]]:
        """(source, how many numbers)."""
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch("SELECT source, count(*) FROM ported_numbers GROUP BY source ORDER BY source")
        return [(row[0], row[1]) for row in rows]

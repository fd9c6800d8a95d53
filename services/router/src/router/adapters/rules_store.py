"""The books of rules and the number plan in PostgreSQL, and the compiled picture of them that every replica keeps."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from router.domain.number_plan import NumberPlan, Range, overlaid
from router.domain.rule_books import NO_RULES, Rules, compiled

POLL_S = 0.5  # new rules are in force in all replicas within two seconds


class Version(NamedTuple):
    version: int
    key_id: str
    at: str
    in_force: bool


class NoSuchVersionError(LookupError):
    """There is no such version, or none before it."""


_IN_FORCE = """
SELECT b.kind, b.version, b.body FROM rule_books b JOIN (
    SELECT DISTINCT ON (kind) kind, version FROM rule_books_in_force ORDER BY kind, serial DESC
) AS f ON f.kind = b.kind AND f.version = b.version
"""
_ACTIVATE = "INSERT INTO rule_books_in_force (kind, version, key_id) VALUES ($1, $2, $3)"


class RulesStore:
    """`rules` and `plan` are what is in force here; `open` loads them, `run` keeps them fresh."""

    def __init__(self, database: Database, seed: Sequence[Range]) -> None:
        self._database, self._seed = database, seed
        self._log = logger(part="rules")
        self._serial = -1
        self.rules: Rules = NO_RULES
        self.plan = NumberPlan(0, seed)

    async def open(self) -> None:
        while True:
            try:
                return await self.refresh()
            except RetryLaterError as error:
                self._log.warning("rules wait", error=str(error))
                await asyncio.sleep(0.5)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                async with self._database.hot(EVERYONE) as connection:
                    serial = await connection.fetchval("SELECT serial FROM rules_changed")
                if serial != self._serial:
                    await self.refresh()
            except RetryLaterError as error:
                self._log.warning("rules are not refreshed", error=str(error))

    async def refresh(self) -> None:
        async with self._database.hot(EVERYONE) as connection:
            serial = await connection.fetchval("SELECT serial FROM rules_changed FOR SHARE")
            rows = await connection.fetch(_IN_FORCE)
            ranges = await connection.fetch("SELECT prefix, country, network, operator FROM number_ranges")
        if serial >= self._serial:
            self._serial = serial
            self.plan = overlaid(serial, self._seed, (Range(*row) for row in ranges))
            self.rules = compiled({row["kind"]: (row["version"], msgspec.json.decode(row["body"])) for row in rows})
            self._log.info("rules in force", serial=serial, versions=self.rules.versions)

    async def put(self, kind: str, body: Mapping[str, Any], key_id: str, *, activate: bool) -> int:
        """Keeps a book that has been checked; answers its version."""
        async with self._database.hot(EVERYONE) as connection:
            await self._changed(connection)
            version: int = await connection.fetchval(
                "SELECT coalesce(max(version), 0) + 1 FROM rule_books WHERE kind = $1", kind
            )
            await connection.execute(
                "INSERT INTO rule_books (kind, version, body, key_id) VALUES ($1, $2, $3, $4)",
                kind, version, msgspec.json.encode(body).decode(), key_id,
            )  # fmt: skip
            if activate:
                await connection.execute(_ACTIVATE, kind, version, key_id)
        await self.refresh()
        return version

    async def body(self, kind: str, version: int) -> Any:
        async with self._database.hot(EVERYONE) as connection:
            found = await connection.fetchval(
                "SELECT body FROM rule_books WHERE kind = $1 AND version = $2", kind, version
            )
        if found is None:
            raise NoSuchVersionError(f"there is no version {version}")
        return msgspec.json.decode(found)

    async def activate(self, kind: str, version: int, key_id: str) -> None:
        async with self._database.hot(EVERYONE) as connection:
            await self._changed(connection)
            await connection.execute(_ACTIVATE, kind, version, key_id)
        await self.refresh()

    async def before(self, kind: str) -> int:
        """The version that was in force before the one that is. NoSuchVersionError when there was none."""
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(
                "SELECT version FROM rule_books_in_force WHERE kind = $1 ORDER BY serial DESC", kind
            )
        found = next((row[0] for row in rows if row[0] != rows[0][0]), None)
        if found is None:
            raise NoSuchVersionError("no other version was in force before")
        return int(found)

    async def versions(self, kind: str) -> list[Version]:
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(
                "SELECT version, key_id, at FROM rule_books WHERE kind = $1 ORDER BY version DESC LIMIT 100", kind
            )
        here = self.rules.versions[kind]
        return [Version(row[0], row[1], row[2].isoformat(), row[0] == here) for row in rows]

    async def put_ranges(self, ranges: Iterable[Range]) -> None:
        """Replaces all ranges of the countries that are named."""
        columns = [list(column) for column in zip(*ranges, strict=True)]
        async with self._database.hot(EVERYONE) as connection:
            await self._changed(connection)
            await connection.execute("DELETE FROM number_ranges WHERE country = ANY($1::text[])", list(set(columns[1])))
            await connection.execute(
                "INSERT INTO number_ranges (prefix, country, network, operator) "
                "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) "
                "ON CONFLICT (prefix) DO UPDATE SET (country, network, operator) = "
                "(excluded.country, excluded.network, excluded.operator)",
                *columns,
            )
        await self.refresh()

    @staticmethod
    async def _changed(connection: Any) -> None:
        """Takes the lock under which all changes of rules go one after another."""
        await connection.execute("UPDATE rules_changed SET serial = serial + 1")

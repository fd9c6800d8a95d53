"""Links in PostgreSQL, and all of them in memory, where the redirect finds them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from ingest.domain.links import Link, Wanted, with_utm

REFRESH_S = 1.0
OVERLAP_MS = 60_000  # a transaction that took this long to commit is still seen
PAGE = 10_000
LOOK_S = 0.3  # for a link that this process has not heard of
_KEPT = "number, tenant_id, link_id, campaign_id, target, ios, android, fallback, expires_at, domain, deleted, utm"


class TakenError(ValueError):
    """The domain belongs to another tenant, or the id to another link."""


class LinkStore:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def put(self, tenant: str, wanted: Wanted, *, new: bool) -> dict[str, Any]:
        """The link as it stands afterwards. TakenError for another tenant's domain, and for a known id when `new`."""
        assert wanted.link_id is not None
        values = (
            tenant, wanted.link_id, wanted.campaign_id, wanted.target, wanted.ios, wanted.android, wanted.fallback,
            wanted.expires_at, wanted.domain, msgspec.json.encode(wanted.utm).decode(), self._clock(),
        )  # fmt: skip
        try:
            async with self._database.hot(tenant) as connection:
                if wanted.domain is not None:
                    await connection.execute("SELECT claim_domain($1, $2)", wanted.domain, tenant)
                row = await connection.fetchrow(_CHANGE, *values[:-1])
                if row is not None and new and row["version"] > 1 and not row["was_deleted"]:
                    raise TakenError("there is such a link already: change it with PUT")
                if row is None:
                    row = await connection.fetchrow(_MAKE, *values)
        except asyncpg.RaiseError as error:
            raise TakenError("the domain is another tenant's") from error
        except asyncpg.UniqueViolationError as error:
            raise RetryLaterError("the same link is being made by another request") from error
        return _told(row)

    async def find(self, tenant: str, link_id: str) -> dict[str, Any] | None:
        async with self._database.hot(tenant) as connection:
            row = await connection.fetchrow("SELECT * FROM links WHERE tenant_id = $1 AND link_id = $2 AND NOT deleted", tenant, link_id)  # fmt: skip
        return _told(row) if row is not None else None

    async def listed(self, tenant: str, after: str, most: int, campaign: str | None) -> list[dict[str, Any]]:
        """By id, from the one after `after`."""
        async with self._database.hot(tenant) as connection:
            rows = await connection.fetch(
                "SELECT * FROM links WHERE tenant_id = $1 AND link_id > $2 AND NOT deleted "
                "AND ($4::text IS NULL OR campaign_id = $4) ORDER BY link_id LIMIT $3",
                tenant, after, most, campaign,
            )  # fmt: skip
        return [_told(row) for row in rows]

    async def delete(self, tenant: str, link_id: str) -> Link | None:
        async with self._database.hot(tenant) as connection:
            row = await connection.fetchrow(
                f"UPDATE links SET deleted = true, version = version + 1, changed_at = {_NOW} "
                f"WHERE tenant_id = $1 AND link_id = $2 AND NOT deleted RETURNING {_KEPT}",
                tenant, link_id,
            )  # fmt: skip
        return link_of(row) if row is not None else None

    async def changed(self, since: int, after: int) -> list[Any]:
        """A page of what changed since then, of every tenant, by number; for the redirect's memory."""
        async with self._database.hot(EVERYONE) as connection:
            rows: list[Any] = await connection.fetch(
                f"SELECT {_KEPT}, changed_at FROM links WHERE changed_at >= $1 AND number > $2 ORDER BY number LIMIT {PAGE}",
                since, after,
            )  # fmt: skip
        return rows

    async def numbered(self, number: int) -> Link | None:
        async with self._database.hot(EVERYONE) as connection:
            row = await connection.fetchrow(f"SELECT {_KEPT} FROM links WHERE number = $1", number)
        return link_of(row) if row is not None else None

    async def domains(self) -> dict[str, str]:
        async with self._database.hot(EVERYONE) as connection:
            return {row[0]: row[1] for row in await connection.fetch("SELECT domain, tenant_id FROM link_domains")}


class LinksInMemory:
    """Every link there is. Answers without the database, and is at most a second behind it while it is there."""

    def __init__(self, store: LinkStore) -> None:
        self._store = store
        self._links: dict[int, Link] = {}
        self.domains: dict[str, str] = {}
        self._seen = 0
        self.loaded = False
        self._log = logger(part="links")

    def __len__(self) -> int:
        return len(self._links)

    def add(self, link: Link) -> None:
        self._links[link.number] = link
        if link.domain is not None and not link.deleted:
            self.domains.setdefault(link.domain, link.tenant_id)

    def known(self, number: int) -> Link | None:
        return self._links.get(number)

    async def look(self, number: int) -> Link | None:
        """For a code of ours whose link another process made just now. RetryLaterError when it cannot be known."""
        try:
            async with asyncio.timeout(LOOK_S):
                found = await self._store.numbered(number)
        except TimeoutError as error:
            raise RetryLaterError("PostgreSQL: no answer in time") from error
        if found is not None:
            self.add(found)
        return found

    async def refresh(self) -> None:
        since, after, newest = max(self._seen - OVERLAP_MS, 0), 0, self._seen
        while rows := await self._store.changed(since, after):
            for row in rows:
                self.add(link_of(row))
                newest = max(newest, row["changed_at"])
            after = rows[-1]["number"]
            if len(rows) < PAGE:
                break
        self.domains = await self._store.domains()
        self._seen, self.loaded = newest, True

    async def follow(self) -> None:
        """Until cancelled. What is in memory stays while the database is away."""
        while True:
            try:
                await self.refresh()
            except RetryLaterError as error:
                self._log.warning("links are not refreshed", error=str(error))
            await asyncio.sleep(REFRESH_S)


def link_of(row: Any) -> Link:
    """From a row of the table, or as `LinkStore` tells it."""
    utm = msgspec.json.decode(row["utm"]) if isinstance(row["utm"], str) else row["utm"]
    return Link(
        row["number"], row["tenant_id"], row["link_id"], row["campaign_id"], with_utm(row["target"], utm),
        with_utm(row["ios"], utm) if row["ios"] else None, with_utm(row["android"], utm) if row["android"] else None,
        row["fallback"], row["expires_at"], row["domain"], row["deleted"],
    )  # fmt: skip


def _told(row: Any) -> dict[str, Any]:
    return {**dict(row), "utm": msgspec.json.decode(row["utm"])}


_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"  # one clock for all processes: the server's
_FIELDS: Sequence[str] = ("campaign_id", "target", "ios", "android", "fallback", "expires_at", "domain", "utm")
_CHANGE = (
    "WITH was AS (SELECT deleted FROM links WHERE tenant_id = $1 AND link_id = $2 FOR UPDATE) "
    "UPDATE links SET "
    + ", ".join(f"{name} = ${place}" for place, name in enumerate(_FIELDS, 3))
    + f", deleted = false, version = version + 1, changed_at = {_NOW} FROM was "
    "WHERE tenant_id = $1 AND link_id = $2 RETURNING links.*, was.deleted AS was_deleted"
)
_MAKE = (
    f"INSERT INTO links (tenant_id, link_id, {', '.join(_FIELDS)}, created_at, changed_at) "
    f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, {_NOW}) RETURNING links.*"
)

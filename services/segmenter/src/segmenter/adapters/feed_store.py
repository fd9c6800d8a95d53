"""Product feeds: tables that templates look values up in by a key, such as a product's name by its number."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

REMEMBERED: Final = 50  # feeds in memory; the oldest goes when one more comes
Items = Mapping[str, Mapping[str, Any]]
_ITEMS = msgspec.json.Decoder(dict[str, dict[str, Any]])


class FeedStore:
    """Each version is read once a process."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, int], Items] = {}

    async def put(self, connection: Any, tenant: str, feed: str, items: Items, now: int) -> int:
        """The version that now holds."""
        version: int = await connection.fetchval(
            "INSERT INTO feeds AS f (tenant_id, id, version, items, updated_at) VALUES ($1, $2, 1, $3::jsonb, $4) "
            "ON CONFLICT (tenant_id, id) DO UPDATE SET items = excluded.items, updated_at = excluded.updated_at, "
            "version = f.version + (f.items IS DISTINCT FROM excluded.items)::int RETURNING version",
            tenant, feed, msgspec.json.encode(items).decode(), now,
        )  # fmt: skip
        return version

    async def current(self, connection: Any, tenant: str, feeds: Sequence[str]) -> dict[str, Items]:
        """Those of the feeds that exist, in their newest version."""
        rows = await connection.fetch(
            "SELECT id, version FROM feeds WHERE tenant_id = $1 AND id = ANY($2::text[])", tenant, list(feeds)
        )
        found: dict[str, Items] = {}
        for feed, version in rows:
            key = (tenant, feed, version)
            if key not in self._read:
                body = await connection.fetchval(
                    "SELECT items FROM feeds WHERE tenant_id = $1 AND id = $2", tenant, feed
                )
                while len(self._read) >= REMEMBERED:
                    self._read.pop(next(iter(self._read)))
                self._read[key] = _ITEMS.decode(body)
            found[feed] = self._read[key]
        return found

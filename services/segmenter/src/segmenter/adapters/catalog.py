"""Segments and templates: what the tenant's marketers write. Templates are compiled once for each version."""

from collections.abc import Iterable
from typing import Any

import msgspec

from segmenter.domain.compile_filter import named_segments
from segmenter.domain.templates import Template, compile_template

REMEMBERED = 1000  # compiled templates; the oldest goes when one more comes

_BODIES = msgspec.json.Decoder(dict[str, str])


class Templates:
    """Compiled templates by tenant, id and version; which version holds is asked of the database every time."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str, int], Template] = {}

    async def current(self, connection: Any, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Template]:
        """The newest version of each (tenant, template) that exists."""
        pairs = sorted(set(wanted))
        if not pairs:
            return {}
        rows = await connection.fetch(
            "SELECT tenant_id, id, version FROM templates WHERE (tenant_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            [tenant for tenant, _ in pairs], [template for _, template in pairs],
        )  # fmt: skip
        return {(row[0], row[1]): await self.version(connection, row[0], row[1], row[2]) for row in rows}

    async def version(self, connection: Any, tenant: str, template_id: str, version: int) -> Template:
        """One version, which is never changed once stored."""
        key = (tenant, template_id, version)
        found = self._compiled.get(key)
        if found is None:
            row = await connection.fetchrow(
                "SELECT purpose, bodies, default_locale FROM template_versions WHERE tenant_id = $1 AND id = $2 AND version = $3",
                *key,
            )
            found = compile_template(template_id, version, row[0], _BODIES.decode(row[1]), row[2])
            while len(self._compiled) >= REMEMBERED:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[key] = found
        return found


async def store_template(
    connection: Any, tenant: str, template_id: str, name: str, purpose: str, bodies: dict[str, str], default_locale: str, now: int
) -> int:  # fmt: skip
    """The version that now holds: the one before when nothing changed."""
    await connection.execute(
        "INSERT INTO templates (tenant_id, id, version, updated_at) VALUES ($1, $2, 0, $3) ON CONFLICT DO NOTHING",
        tenant, template_id, now,
    )  # fmt: skip
    version: int = await connection.fetchval(
        "SELECT version FROM templates WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant, template_id
    )
    held = await find_template(connection, tenant, template_id) if version else None
    said = (name, purpose, bodies, default_locale)
    if held is not None and said == (
        held["name"],
        held["purpose"],
        _BODIES.decode(held["bodies"]),
        held["default_locale"],
    ):
        return version
    await connection.execute(
        "INSERT INTO template_versions (tenant_id, id, version, name, purpose, bodies, default_locale, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)",
        tenant, template_id, version + 1, name, purpose, msgspec.json.encode(bodies).decode(), default_locale, now,
    )  # fmt: skip
    await connection.execute(
        "UPDATE templates SET version = $3, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
        tenant, template_id, version + 1, now,
    )  # fmt: skip
    return version + 1


async def find_template(connection: Any, tenant: str, template_id: str) -> Any:
    """The current version's row, or None."""
    return await connection.fetchrow(
        "SELECT v.*, t.updated_at FROM templates t JOIN template_versions v USING (tenant_id, id, version) "
        "WHERE t.tenant_id = $1 AND t.id = $2",
        tenant, template_id,
    )  # fmt: skip


async def store_segment(connection: Any, tenant: str, segment_id: str, name: str, tree: str, now: int) -> int:
    """The version that now holds."""
    version: int = await connection.fetchval(
        "INSERT INTO segments AS s (tenant_id, id, name, filter, version, updated_at) VALUES ($1, $2, $3, $4::jsonb, 1, $5) "
        "ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name, filter = excluded.filter, updated_at = excluded.updated_at, "
        "version = s.version + (s.filter IS DISTINCT FROM excluded.filter)::int RETURNING version",
        tenant, segment_id, name, tree, now,
    )  # fmt: skip
    return version


async def find_segment(connection: Any, tenant: str, segment_id: str) -> Any:
    """The segment's row, or None."""
    return await connection.fetchrow("SELECT * FROM segments WHERE tenant_id = $1 AND id = $2", tenant, segment_id)


async def list_segments(connection: Any, tenant: str, after: str, limit: int) -> list[Any]:
    """Rows in the order of ids, those after `after`."""
    return list(
        await connection.fetch(
            "SELECT id, name, version, updated_at FROM segments WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3",
            tenant, after, limit,
        )
    )  # fmt: skip


async def list_templates(connection: Any, tenant: str, after: str, limit: int) -> list[Any]:
    """Current versions in the order of ids, those after `after`."""
    return list(
        await connection.fetch(
            "SELECT t.id, v.name, v.purpose, t.version, t.updated_at FROM templates t JOIN template_versions v USING (tenant_id, id, version) "
            "WHERE t.tenant_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3",
            tenant, after, limit,
        )
    )  # fmt: skip


async def load_segments(connection: Any, tenant: str, tree: Any) -> dict[str, Any]:
    """Trees of the segments that a filter names, and of those that they name."""
    found: dict[str, Any] = {}
    wanted = named_segments(tree)
    while wanted:
        rows = await connection.fetch(
            "SELECT id, filter FROM segments WHERE tenant_id = $1 AND id = ANY($2::text[])", tenant, sorted(wanted)
        )
        trees = {row["id"]: msgspec.json.decode(row["filter"]) for row in rows}
        found |= trees
        wanted = {name for tree in trees.values() for name in named_segments(tree)} - found.keys()
    return found

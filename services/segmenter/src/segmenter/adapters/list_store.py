"""Lists of contacts: kept by hand, or a segment's people as they were at a moment."""

from collections.abc import Sequence
from typing import Any

from segmenter.domain.compile_filter import Condition


async def find_list(connection: Any, tenant: str, list_id: str) -> Any:
    return await connection.fetchrow("SELECT * FROM lists WHERE tenant_id = $1 AND id = $2", tenant, list_id)


async def put_list(connection: Any, tenant: str, list_id: str, name: str, now: int) -> None:
    await connection.execute(
        "INSERT INTO lists (tenant_id, id, name, size, made_at, updated_at) VALUES ($1, $2, $3, 0, $4, $4) "
        "ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at",
        tenant, list_id, name, now,
    )  # fmt: skip


async def change_members(
    connection: Any, tenant: str, list_id: str, add: Sequence[str], remove: Sequence[str], now: int
) -> int:
    """The list's size afterwards. Refs that are no contacts are left out."""
    await connection.execute("SELECT FROM lists WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant, list_id)
    await connection.execute(
        "INSERT INTO list_members SELECT $1, $2, ref FROM contacts WHERE tenant_id = $1 AND ref = ANY($3::text[]) ON CONFLICT DO NOTHING",
        tenant, list_id, list(add),
    )  # fmt: skip
    await connection.execute(
        "DELETE FROM list_members WHERE tenant_id = $1 AND list_id = $2 AND contact_ref = ANY($3::text[])",
        tenant,
        list_id,
        list(remove),
    )
    return await _sized(connection, tenant, list_id, now)


async def take_snapshot(
    connection: Any, tenant: str, list_id: str, segment: Any, condition: Condition, now: int
) -> int | None:
    """The segment's people now, as a list that is never changed; its size, or None when there is such a list already.
    The condition's placeholders start at $3."""
    made = await connection.execute(
        "INSERT INTO lists (tenant_id, id, name, segment, segment_version, filter, size, made_at, updated_at) "
        "VALUES ($1, $2, $3, $4, $5, $6::jsonb, 0, $7, $7) ON CONFLICT DO NOTHING",
        tenant, list_id, segment["name"], segment["id"], segment["version"], segment["filter"], now,
    )  # fmt: skip
    if made == "INSERT 0 0":
        return None
    await connection.execute(
        f"INSERT INTO list_members SELECT $1, $2::text, c.ref FROM contacts c WHERE c.tenant_id = $1 AND {condition.sql}",
        tenant, list_id, *condition.params,
    )  # fmt: skip
    return await _sized(connection, tenant, list_id, now)


async def _sized(connection: Any, tenant: str, list_id: str, now: int) -> int:
    size: int = await connection.fetchval(
        "UPDATE lists SET updated_at = $3, size = (SELECT count(*) FROM list_members m WHERE m.tenant_id = $1 AND m.list_id = $2) "
        "WHERE tenant_id = $1 AND id = $2 RETURNING size",
        tenant, list_id, now,
    )  # fmt: skip
    return size

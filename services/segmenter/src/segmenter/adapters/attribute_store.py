"""A tenant's schema of attributes: kinds learnt from contacts, and those that the tenant pinned."""

from collections.abc import Mapping
from typing import Any, Final

from segmenter.adapters.rule_store import find_rule
from segmenter.domain.attributes import Kind, Schema

RULE: Final = "attributes"  # its body: {"closed": bool}


async def load_schema(connection: Any, tenant: str) -> Schema:
    rows = await connection.fetch("SELECT name, kind, pinned FROM attribute_kinds WHERE tenant_id = $1", tenant)
    rule = await find_rule(connection, tenant, RULE)
    closed = rule is not None and '"closed":true' in rule["body"].replace(" ", "")
    return Schema({row["name"]: row["kind"] for row in rows}, [row["name"] for row in rows if row["pinned"]], closed)


async def learn(connection: Any, tenant: str, learnt: Mapping[str, Kind], now: int) -> None:
    """Stores kinds that contacts taught. Two who learn at once widen each other's; what was pinned meanwhile stays."""
    if learnt:
        names = sorted(learnt)
        await connection.execute(
            "INSERT INTO attribute_kinds AS a (tenant_id, name, kind, pinned, updated_at) "
            "SELECT $1, n.name, n.kind, false, $4 FROM unnest($2::text[], $3::text[]) AS n (name, kind) "
            "ON CONFLICT (tenant_id, name) DO UPDATE SET updated_at = excluded.updated_at, kind = CASE "
            "WHEN a.kind IN ('text', 'date') AND excluded.kind IN ('text', 'date') THEN 'text' ELSE 'mixed' END "
            "WHERE NOT a.pinned AND a.kind <> excluded.kind",
            tenant, names, [learnt[name] for name in names], now,
        )  # fmt: skip


async def pin(connection: Any, tenant: str, kinds: Mapping[str, Kind | None], now: int) -> None:
    """Pins these kinds; None lets an attribute be learnt again."""
    pinned = sorted(name for name, kind in kinds.items() if kind is not None)
    await connection.execute(
        "INSERT INTO attribute_kinds AS a (tenant_id, name, kind, pinned, updated_at) "
        "SELECT $1, n.name, n.kind, true, $4 FROM unnest($2::text[], $3::text[]) AS n (name, kind) "
        "ON CONFLICT (tenant_id, name) DO UPDATE SET kind = excluded.kind, pinned = true, updated_at = excluded.updated_at",
        tenant, pinned, [kinds[name] for name in pinned], now,
    )  # fmt: skip
    await connection.execute(
        "UPDATE attribute_kinds SET pinned = false, updated_at = $3 WHERE tenant_id = $1 AND name = ANY($2::text[])",
        tenant, sorted(name for name, kind in kinds.items() if kind is None), now,
    )  # fmt: skip

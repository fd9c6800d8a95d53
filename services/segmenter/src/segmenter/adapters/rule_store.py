"""Rules that a tenant keeps as data, one row a kind, each change a version."""

from typing import Any

import msgspec
from shared.contracts.fields import SYSTEM_TENANT

from segmenter.domain.answers import ANSWERS, AnswerRules, first_rules

ANSWERS_RULE = "answers"


async def find_rule(connection: Any, tenant: str, kind: str) -> Any:
    """The row with `body` (JSON text) and `version`, or None."""
    return await connection.fetchrow(
        "SELECT body, version, updated_at, updated_by FROM tenant_rules WHERE tenant_id = $1 AND kind = $2",
        tenant,
        kind,
    )


async def store_rule(connection: Any, tenant: str, kind: str, body: Any, by: str, now: int) -> int:
    """The version that now holds."""
    version: int = await connection.fetchval(
        "INSERT INTO tenant_rules AS r (tenant_id, kind, body, version, updated_at, updated_by) VALUES ($1, $2, $3::jsonb, 1, $4, $5) "
        "ON CONFLICT (tenant_id, kind) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at, "
        "updated_by = excluded.updated_by, version = r.version + (r.body IS DISTINCT FROM excluded.body)::int RETURNING version",
        tenant, kind, msgspec.json.encode(body).decode(), now, by,
    )  # fmt: skip
    return version


async def answer_rules(connection: Any) -> AnswerRules:
    """The operator's rules for answers to handsets, or those that the service starts with. The transaction names the system's
    tenant among its own."""
    row = await find_rule(connection, SYSTEM_TENANT, ANSWERS_RULE)
    return first_rules() if row is None else ANSWERS.decode(row["body"])

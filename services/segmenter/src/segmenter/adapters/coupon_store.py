"""Pools of codes: each code goes out in one message at most, and a message that is repeated carries the same code again.

A code is claimed by a message id, which is derived from campaign, run and contact, and committed before the message is
published. It is never given back: a message whose fate is unknown may have carried it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from asyncpg import UniqueViolationError
from shared.errors import RetryLaterError


class CouponStore:
    """Methods run within the caller's raw transaction (`Database.hot`)."""

    async def add(self, connection: Any, tenant: str, pool: str, codes: Sequence[str]) -> int:
        """Answers how many were new."""
        result = await connection.execute(
            "INSERT INTO coupons (tenant_id, pool, code) SELECT $1, $2, c FROM unnest($3::text[]) AS x (c) ON CONFLICT DO NOTHING",
            tenant, pool, list(codes),
        )  # fmt: skip
        return int(result.split()[-1])

    async def counts(self, connection: Any, tenant: str, pool: str) -> tuple[int, int]:
        """All codes, and those that went out."""
        row = await connection.fetchrow(
            "SELECT count(*), count(claimed_by) FROM coupons WHERE tenant_id = $1 AND pool = $2", tenant, pool
        )
        return row[0], row[1]

    async def examples(self, connection: Any, tenant: str, pools: Sequence[str]) -> dict[str, str]:
        """The longest of some codes of each pool: what a text is measured with before a code is claimed."""
        rows = await connection.fetch(
            "SELECT p, (SELECT code FROM (SELECT code FROM coupons WHERE tenant_id = $1 AND pool = p LIMIT 1000) AS c "
            "ORDER BY length(code) DESC LIMIT 1) FROM unnest($2::text[]) AS x (p)",
            tenant, list(pools),
        )  # fmt: skip
        return {row[0]: row[1] for row in rows if row[1] is not None}

    async def claim(
        self, connection: Any, tenant: str, pool: str, message_ids: Sequence[str], now: int
    ) -> Mapping[str, str]:
        """The code of each message; those that got none are left out. RetryLaterError when somebody claims for the same
        messages right now."""
        try:
            await connection.execute(
                "WITH want AS (SELECT m, row_number() OVER () AS n FROM unnest($3::text[]) AS x (m) WHERE NOT EXISTS "
                "(SELECT 1 FROM coupons WHERE tenant_id = $1 AND pool = $2 AND claimed_by = m)), "
                "free AS (SELECT code, row_number() OVER () AS n FROM (SELECT code FROM coupons WHERE tenant_id = $1 AND pool = $2 "
                "AND claimed_by IS NULL ORDER BY code LIMIT (SELECT count(*) FROM want) FOR UPDATE SKIP LOCKED) AS f) "
                "UPDATE coupons AS c SET claimed_by = want.m, claimed_at = $4 FROM want JOIN free USING (n) "
                "WHERE c.tenant_id = $1 AND c.pool = $2 AND c.code = free.code",
                tenant, pool, list(message_ids), now,
            )  # fmt: skip
        except UniqueViolationError as error:
            raise RetryLaterError("another process claims coupons for the same messages") from error
        rows = await connection.fetch(
            "SELECT claimed_by, code FROM coupons WHERE tenant_id = $1 AND pool = $2 AND claimed_by = ANY($3::text[])",
            tenant, pool, list(message_ids),
        )  # fmt: skip
        return {row[0]: row[1] for row in rows}

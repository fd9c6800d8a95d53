"""Frequency caps: the tenants' rules, and the claims that keep them whoever expands the same person at once.

A claim is made before its message is published and in a transaction of its own, so nobody else can take the same place.
One statement decides for a whole batch under the rows' locks. A repeat of a message finds its own claim and passes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from segmenter.adapters.rounds import rounds_of
from segmenter.domain.frequency_caps import DAY_MS, KEPT_MS, WEEK_MS, Cap

Caps = Mapping[tuple[str, str], Cap]  # by tenant and purpose


class Want(NamedTuple):
    """A message that would go out about `at` (milliseconds UTC)."""

    tenant: str
    contact_id: str
    purpose: str
    message_id: str
    at: int

    @property
    def place(self) -> tuple[str, str, str]:
        return self.tenant, self.contact_id, self.purpose


class CapStore:
    """Methods run within the caller's raw transaction (`Database.hot`)."""

    async def rules(self, connection: Any, tenants: Iterable[str]) -> dict[tuple[str, str], Cap]:
        rows = await connection.fetch(
            "SELECT tenant_id, purpose, per_day, per_week, version FROM cap_rules WHERE tenant_id = ANY($1::text[])",
            sorted(set(tenants)),
        )
        return {(r[0], r[1]): Cap(r[1], r[2], r[3], r[4]) for r in rows if r[2] or r[3]}

    async def put_rule(self, connection: Any, tenant: str, purpose: str, per_day: int, per_week: int, now: int) -> Cap:
        version = await connection.fetchval(
            "INSERT INTO cap_rules AS c (tenant_id, purpose, per_day, per_week, version, updated_at) VALUES ($1, $2, $3, $4, 1, $5) "
            "ON CONFLICT (tenant_id, purpose) DO UPDATE SET per_day = $3, per_week = $4, updated_at = $5, version = c.version + "
            "((c.per_day, c.per_week) IS DISTINCT FROM ($3, $4))::int RETURNING version",
            tenant, purpose, per_day, per_week, now,
        )  # fmt: skip
        return Cap(purpose, per_day, per_week, version)

    async def claim(self, connection: Any, wants: Sequence[Want], caps: Caps) -> set[str]:
        """Takes a place for each message whose tenant caps its purpose; answers the message ids that got none."""
        refused: set[str] = set()
        for round_ in rounds_of([w for w in wants if (w.tenant, w.purpose) in caps]):
            refused |= await self._claim_round(connection, round_, caps)
        return refused

    async def _claim_round(self, connection: Any, wants: Sequence[Want], caps: Caps) -> set[str]:
        """`wants` are for different places, in their order: that is the order of locks everywhere."""
        mine = [caps[w.tenant, w.purpose] for w in wants]
        rows = await connection.fetch(
            "INSERT INTO cap_claims AS c (tenant_id, contact_id, purpose, ids, ats, per_day, per_week) "
            "SELECT t, n, p, ARRAY[m], ARRAY[a], d, w FROM "
            "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::int[]) AS x (t, n, p, m, a, d, w) "
            "ON CONFLICT (tenant_id, contact_id, purpose) DO UPDATE SET per_day = excluded.per_day, per_week = excluded.per_week, "
            "(ids, ats) = (SELECT array_agg(i) || excluded.ids, array_agg(a) || excluded.ats FROM unnest(c.ids, c.ats) AS k (i, a) "
            f"WHERE a > excluded.ats[1] - {KEPT_MS}) "
            "WHERE excluded.ids[1] <> ALL (c.ids) "
            f"AND (excluded.per_day = 0 OR (SELECT count(*) FROM unnest(c.ats) AS a WHERE abs(a - excluded.ats[1]) < {DAY_MS}) < excluded.per_day) "
            f"AND (excluded.per_week = 0 OR (SELECT count(*) FROM unnest(c.ats) AS a WHERE abs(a - excluded.ats[1]) < {WEEK_MS}) < excluded.per_week) "
            "RETURNING tenant_id, contact_id, purpose",
            *zip(*wants, strict=True), [c.per_day for c in mine], [c.per_week for c in mine],
        )  # fmt: skip
        claimed = {tuple(row) for row in rows}
        without = [w for w in wants if w.place not in claimed]
        if not without:
            return set()
        places = [w.place for w in without]
        held = await connection.fetch(
            "SELECT unnest(ids) FROM cap_claims WHERE (tenant_id, contact_id, purpose) IN "
            "(SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))",
            *zip(*places, strict=True),
        )
        return {w.message_id for w in without} - {row[0] for row in held}

    async def claimed(
        self, connection: Any, tenant: str, purpose: str, contact_ids: Sequence[str]
    ) -> dict[str, list[int]]:
        """Moments of the claims there are, by number. Takes none."""
        rows = await connection.fetch(
            "SELECT contact_id, ats FROM cap_claims WHERE tenant_id = $1 AND purpose = $2 AND contact_id = ANY($3::text[])",
            tenant, purpose, contact_ids,
        )  # fmt: skip
        return {row[0]: row[1] for row in rows}

    async def give_back(self, connection: Any, wants: Iterable[Want]) -> int:
        """Frees the places of messages that were dropped after all; answers how many rows had one."""
        given = list(wants)
        places = sorted({w.place for w in given})
        ids = [w.message_id for w in given]
        rows = await connection.fetch(
            "SELECT tenant_id, contact_id, purpose FROM cap_claims WHERE (tenant_id, contact_id, purpose) IN "
            "(SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) AND ids && $4::text[] "
            "ORDER BY tenant_id, contact_id, purpose FOR UPDATE",
            *zip(*places, strict=True), ids,
        )  # fmt: skip
        if rows:
            await connection.execute(
                "UPDATE cap_claims AS c SET (ids, ats) = (SELECT COALESCE(array_agg(i), '{}'), COALESCE(array_agg(a), '{}') "
                "FROM unnest(c.ids, c.ats) AS k (i, a) WHERE i <> ALL ($4::text[])) WHERE (tenant_id, contact_id, purpose) IN "
                "(SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))",
                *zip(*(tuple(row) for row in rows), strict=True), ids,
            )  # fmt: skip
        return len(rows)

    async def forget(self, connection: Any, now: int, limit: int = 20_000) -> int:
        """Drops rows none of whose claims count any more; answers how many."""
        result = await connection.execute(
            "DELETE FROM cap_claims WHERE ctid = ANY (ARRAY(SELECT ctid FROM cap_claims "
            "WHERE COALESCE((SELECT max(a) FROM unnest(ats) AS a), 0) < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now - KEPT_MS, limit,
        )  # fmt: skip
        return int(result.split()[-1])

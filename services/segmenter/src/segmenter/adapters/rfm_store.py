"""RFM classes, computed once a day for each tenant from its buyers' daily sums."""

from typing import Any, Final

from segmenter.domain.event_days import DAY_MS
from segmenter.domain.rfm import LOOK_BACK_DAYS, class_of

_SCORES: Final = [(r, f, m) for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)]


async def due(connection: Any, now: int) -> list[str]:
    """Tenants with buyers whose classes are not of today. The transaction is for EVERYONE."""
    rows = await connection.fetch(
        "SELECT DISTINCT e.tenant_id FROM event_days e WHERE e.currency <> '' AND NOT EXISTS "
        "(SELECT FROM rfm_days d WHERE d.tenant_id = e.tenant_id AND d.day >= $1)",
        now // DAY_MS,
    )  # fmt: skip
    return sorted(row[0] for row in rows)


async def classify(connection: Any, tenant: str, now: int) -> int:
    """Classes for everyone who bought within the last year; how many. Money counts in the tenant's commonest currency."""
    day = now // DAY_MS
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('rfm'), hashtext($1))", tenant):
        return 0
    await connection.execute("DELETE FROM rfm WHERE tenant_id = $1", tenant)
    result = await connection.execute(
        "INSERT INTO rfm (tenant_id, contact_ref, r, f, m, class) "
        "WITH main AS (SELECT currency FROM event_days WHERE tenant_id = $1 AND currency <> '' AND day > $2 GROUP BY currency "
        "ORDER BY sum(count) DESC, currency LIMIT 1), "
        "buyers AS (SELECT contact_ref, max(last_at) AS last_at, sum(count) AS count, "
        "COALESCE(sum(sum_micros) FILTER (WHERE currency = (SELECT currency FROM main)), 0) AS spent "
        "FROM event_days WHERE tenant_id = $1 AND currency <> '' AND day > $2 GROUP BY contact_ref), "
        "scored AS (SELECT contact_ref, ntile(5) OVER (ORDER BY last_at, contact_ref) AS r, ntile(5) OVER (ORDER BY count, contact_ref) AS f, "
        "ntile(5) OVER (ORDER BY spent, contact_ref) AS m FROM buyers) "
        "SELECT $1, s.contact_ref, s.r, s.f, s.m, k.class FROM scored s "
        "JOIN unnest($3::int[], $4::int[], $5::int[], $6::text[]) AS k (r, f, m, class) ON (k.r, k.f, k.m) = (s.r, s.f, s.m)",
        tenant, day - LOOK_BACK_DAYS, [s[0] for s in _SCORES], [s[1] for s in _SCORES], [s[2] for s in _SCORES],
        [class_of(*s) for s in _SCORES],
    )  # fmt: skip
    people = int(result.split()[-1])
    await connection.execute(
        "INSERT INTO rfm_days (tenant_id, day, people) VALUES ($1, $2, $3) "
        "ON CONFLICT (tenant_id) DO UPDATE SET day = excluded.day, people = excluded.people",
        tenant, day, people,
    )  # fmt: skip
    return people

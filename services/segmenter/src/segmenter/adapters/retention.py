"""The daily job that lets go of what tenants' rules no longer keep, some at a time."""

from typing import Any, Final

from shared.db.database import Database
from shared.db.migrate import EVERYONE

from segmenter.adapters.erasure import Erasure
from segmenter.domain.retention import DAY_MS, RETENTION, Retention, first_day_kept

RULE: Final = "retention"
AT_ONCE: Final = 200  # erasures in one transaction
_DAYS_AT_ONCE: Final = 20_000
BY: Final = "retention"


class RetentionJob:
    def __init__(self, db: Database, erasure: Erasure) -> None:
        self._db, self._erasure = db, erasure

    async def run_once(self, now: int) -> dict[str, int]:
        """What went, counted over all tenants. Repeating it is harmless."""
        async with self._db.hot(EVERYONE) as connection:
            rows = await connection.fetch("SELECT tenant_id, body FROM tenant_rules WHERE kind = $1", RULE)
        gone = {"event_days": 0, "contacts": 0}
        for row in rows:
            rule = RETENTION.decode(row["body"])
            gone["event_days"] += await self._forget_behaviour(row["tenant_id"], rule, now)
            gone["contacts"] += await self._forget_idle(row["tenant_id"], rule, now)
        return gone

    async def _forget_behaviour(self, tenant: str, rule: Retention, now: int) -> int:
        gone = 0
        while rule.behaviour_days is not None:
            async with self._db.hot(tenant) as connection:
                result = await connection.execute(
                    "DELETE FROM event_days WHERE ctid = ANY (ARRAY(SELECT ctid FROM event_days WHERE tenant_id = $1 AND day < $2 LIMIT $3))",
                    tenant, first_day_kept(rule.behaviour_days, now), _DAYS_AT_ONCE,
                )  # fmt: skip
            gone += int(result.split()[-1])
            if int(result.split()[-1]) < _DAYS_AT_ONCE:
                break
        return gone

    async def _forget_idle(self, tenant: str, rule: Retention, now: int) -> int:
        gone = 0
        while rule.idle_days is not None:
            async with self._db.hot(tenant) as connection:
                refs = await _idle(connection, tenant, first_day_kept(rule.idle_days, now))
                for ref in refs:
                    await self._erasure.erase(connection, tenant, ref, BY, now, suppress=False)
            gone += len(refs)
            if len(refs) < AT_ONCE:
                break
        return gone


async def _idle(connection: Any, tenant: str, first_day: int) -> list[str]:
    before = first_day * DAY_MS
    rows = await connection.fetch(
        "SELECT c.ref FROM contacts c WHERE c.tenant_id = $1 AND c.updated_at < $2 "
        "AND NOT EXISTS (SELECT FROM event_days e WHERE e.tenant_id = $1 AND e.contact_ref = c.ref AND e.day >= $3) "
        "AND NOT EXISTS (SELECT FROM campaign_marks m WHERE m.tenant_id = $1 AND m.contact_ref = c.ref AND m.sent_at >= $2) "
        "AND NOT EXISTS (SELECT FROM consent_ledger l WHERE l.tenant_id = $1 AND l.contact_ref = c.ref AND l.recorded_at >= $2) "
        "ORDER BY c.ref LIMIT $4",
        tenant, before, first_day, AT_ONCE,
    )  # fmt: skip
    return [row[0] for row in rows]

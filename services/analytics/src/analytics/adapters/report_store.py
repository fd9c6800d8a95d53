"""What reports read: responses by the dimensions of the message that they are due to."""

from typing import Any

from shared.db.database import Database

from analytics.domain.earned import Response
from analytics.domain.experiments import Arm

_PLACE = (
    "coalesce(m.minute - m.minute % 3600000, 0), coalesce(m.run, ''), coalesce(m.variant, ''), coalesce(m.segment, ''), "
    "coalesce(m.country, ''), coalesce(m.carrier, '')"
)
_RUN = "($3::text IS NULL OR m.run = $3)"
_CLICKS = (
    f"SELECT {_PLACE}, '', count(DISTINCT c.message_id) FILTER (WHERE c.human), count(*) FILTER (WHERE c.human), "
    "count(*) FILTER (WHERE NOT c.human), 0::bigint, 0::bigint, 0::bigint FROM clicks c LEFT JOIN message_state m USING (message_id) "
    f"WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND {_RUN} GROUP BY 1, 2, 3, 4, 5, 6"
)
_OPT_OUTS = (
    f"SELECT {_PLACE}, '', 0::bigint, 0::bigint, 0::bigint, count(*), 0::bigint, 0::bigint FROM opt_outs o "
    "LEFT JOIN message_state m USING (message_id) "
    f"WHERE o.tenant_id = $1 AND o.campaign_id = $2 AND {_RUN} GROUP BY 1, 2, 3, 4, 5, 6"
)
_EARNED = (
    f"SELECT {_PLACE}, a.currency, 0::bigint, 0::bigint, 0::bigint, 0::bigint, sum(a.share_micros)::bigint, "
    "sum(a.value_micros)::bigint FROM attributions a LEFT JOIN message_state m USING (message_id) "
    f"WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.model = $4 AND {_RUN} GROUP BY 1, 2, 3, 4, 5, 6, 7"
)
_ARMS = {
    "delivered": "m.outcome = 'delivered'",
    "clicked": "EXISTS (SELECT FROM clicks c WHERE c.tenant_id = m.tenant_id AND c.message_id = m.message_id AND c.human)",
    "opted_out": "EXISTS (SELECT FROM opt_outs o WHERE o.tenant_id = m.tenant_id AND o.message_id = m.message_id)",
    "converted": "EXISTS (SELECT FROM conversions c WHERE c.tenant_id = m.tenant_id AND c.contact_ref = m.contact_ref "
    "AND m.contact_ref > chr(1) AND c.at >= m.minute AND c.at < m.minute + $4)",
}
MEASURES = tuple(_ARMS)
HELD_OUT = "holdout"  # the reason for which segmenter drops them
_EXPERIMENT = (
    "SELECT m.variant, m.reason = '" + HELD_OUT + "', count(*), count(*) FILTER (WHERE {taken}) FROM message_state m "
    "WHERE m.tenant_id = $1 AND m.campaign_id = $2 AND m.campaign_id <> '' AND ($3::text IS NULL OR m.run = $3) "
    "AND (m.outcome <> 'dropped' OR m.reason = '" + HELD_OUT + "') AND $4::bigint > 0 GROUP BY 1, 2"
)


class ReportStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def responses(self, tenant: str, campaign: str, run: str | None, model: str) -> list[Response]:
        async with self._database.hot(tenant) as connection:
            rows = [
                *await connection.fetch(_CLICKS, tenant, campaign, run),
                *await connection.fetch(_OPT_OUTS, tenant, campaign, run),
                *await connection.fetch(_EARNED, tenant, campaign, run, model),
            ]
        return [Response(*row) for row in rows]

    async def corrections(self, tenant: str, campaign: str) -> dict[str, Any]:
        """How many of the campaign's conversions were corrected after they had been counted, and when last."""
        async with self._database.hot(tenant) as connection:
            row = await connection.fetchrow(
                "SELECT count(*), max(c.changed_at) FROM corrections c WHERE c.tenant_id = $1 AND EXISTS (SELECT FROM attributions a "
                "WHERE a.tenant_id = $1 AND a.event_id = c.event_id AND a.campaign_id = $2)",
                tenant, campaign,
            )  # fmt: skip
        return {"count": row[0], "last_at": row[1]}

    async def arms(
        self, tenant: str, campaign: str, run: str | None, measure: str, window_ms: int
    ) -> tuple[dict[str, Arm], Arm, Arm]:
        """By variant, and of all treated and all held out. A message that went nowhere for another reason is in none."""
        async with self._database.hot(tenant) as connection:
            rows = await connection.fetch(_EXPERIMENT.format(taken=_ARMS[measure]), tenant, campaign, run, window_ms)
        variants: dict[str, Arm] = {}
        treated = held_out = Arm(0, 0)
        for variant, is_held_out, trials, successes in rows:
            if is_held_out:
                held_out = Arm(held_out.trials + trials, held_out.successes + successes)
                continue
            treated = Arm(treated.trials + trials, treated.successes + successes)
            if variant:
                variants[variant] = Arm(trials, successes)
        return variants, treated, held_out

"""What reports read: sums alone, so that an answer takes as long over ten million messages as over ten thousand."""

from typing import Any, NamedTuple

from shared.db.database import Database

from analytics.domain.best import Performance
from analytics.domain.contribution import HELD_OUT
from analytics.domain.earned import Response
from analytics.domain.experiments import Arm
from analytics.domain.report import Counter, Course

COURSE_MS = 2 * 3_600_000  # how far back the course of a campaign goes, from its newest minute
_RUN = "($3::text IS NULL OR run = $3)"
_COUNTERS = (
    "SELECT hour, run, variant, segment, country, carrier, outcome, reason, currency, sum(messages)::bigint, "
    "sum(submitted)::bigint, sum(parts)::bigint, sum(cost_micros)::bigint, max(changed_at) "
    f"FROM rollups WHERE tenant_id = $1 AND campaign_id = $2 AND {_RUN} "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9"
)
_COURSE = (
    "SELECT minute, outcome, sum(messages)::bigint FROM campaign_minutes WHERE tenant_id = $1 AND campaign_id = $2 "
    f"AND {_RUN} AND minute > (SELECT max(minute) FROM campaign_minutes WHERE tenant_id = $1 AND campaign_id = $2 AND {_RUN}) - $4 "
    "GROUP BY 1, 2 HAVING sum(messages) <> 0"
)
_RESPONSES = (
    "SELECT hour, run, variant, segment, country, carrier, currency, sum(clickers)::bigint, sum(clicks)::bigint, "
    "sum(machine_clicks)::bigint, sum(repliers)::bigint, sum(replies)::bigint, sum(clicked_and_replied)::bigint, "
    "sum(opt_outs)::bigint, sum(shares_micros)::bigint, sum(value_micros)::bigint FROM response_rollups "
    f"WHERE tenant_id = $1 AND campaign_id = $2 AND model IN ('', $4) AND {_RUN} GROUP BY 1, 2, 3, 4, 5, 6, 7"
)
_TRIALS = (
    "SELECT variant, reason = '" + HELD_OUT + "', sum(messages)::bigint, "
    "coalesce(sum(messages) FILTER (WHERE outcome = 'delivered'), 0)::bigint "
    f"FROM rollups WHERE tenant_id = $1 AND campaign_id = $2 AND campaign_id <> '' AND {_RUN} "
    "AND (outcome <> 'dropped' OR reason = '" + HELD_OUT + "') GROUP BY 1, 2"
)
_TAKEN = {"clicked": "clickers", "replied": "repliers", "opted_out": "opted_out", "converted": "converted"}
_SUCCESSES = (
    "SELECT variant, held_out, sum({column})::bigint FROM response_rollups "
    f"WHERE tenant_id = $1 AND campaign_id = $2 AND campaign_id <> '' AND {_RUN} AND model = '' GROUP BY 1, 2"
)
_BEST = (
    "WITH sent AS (SELECT campaign_id, variant, sum(submitted)::bigint AS submitted, "
    "coalesce(sum(messages) FILTER (WHERE outcome = 'delivered'), 0)::bigint AS delivered, sum(cost_micros)::bigint AS cost "
    "FROM rollups WHERE tenant_id = $1 AND hour >= $2 AND campaign_id <> '' GROUP BY 1, 2), "
    "got AS (SELECT campaign_id, variant, sum(clickers)::bigint AS clickers, sum(repliers)::bigint AS repliers, "
    "sum(opted_out)::bigint AS opted_out, sum(converted) FILTER (WHERE NOT held_out)::bigint AS converted "
    "FROM response_rollups WHERE tenant_id = $1 AND hour >= $2 AND campaign_id <> '' AND model = '' GROUP BY 1, 2), "
    "earned AS (SELECT campaign_id, variant, currency, sum(value_micros)::bigint AS value FROM response_rollups "
    "WHERE tenant_id = $1 AND hour >= $2 AND campaign_id <> '' AND model = $3 GROUP BY 1, 2, 3), "
    "money AS (SELECT campaign_id, variant, jsonb_object_agg(currency, value)::text AS revenue FROM earned GROUP BY 1, 2) "
    "SELECT campaign_id, variant, submitted, delivered, cost, coalesce(clickers, 0), coalesce(repliers, 0), coalesce(opted_out, 0), "
    "coalesce(converted, 0), coalesce(revenue, '{}') FROM sent LEFT JOIN got USING (campaign_id, variant) "
    "LEFT JOIN money USING (campaign_id, variant) WHERE submitted > 0"
)
_LINKS = (
    "SELECT link_id, campaign_id, clickers, clicks, machine_clicks, last_at FROM link_rollups "
    "WHERE tenant_id = $1 AND last_at >= $2 ORDER BY clicks DESC, link_id LIMIT $3"
)


class LinkLine(NamedTuple):
    link_id: str
    campaign_id: str
    clickers: int  # messages whose first click it was
    clicks: int
    machine_clicks: int
    last_at: int


class ReportStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def campaign(self, tenant: str, campaign: str, run: str | None) -> tuple[list[Counter], int | None]:
        """The campaign's counters, and when they last changed."""
        async with self._database.hot(tenant) as connection:
            rows = await connection.fetch(_COUNTERS, tenant, campaign, run)
        return [Counter(*row[:-1]) for row in map(tuple, rows) if row[9]], max((row[-1] for row in rows), default=None)

    async def course(self, tenant: str, campaign: str, run: str | None) -> list[Course]:
        """The two hours up to the campaign's newest message, minute by minute."""
        async with self._database.hot(tenant) as connection:
            return [Course(*row) for row in await connection.fetch(_COURSE, tenant, campaign, run, COURSE_MS)]

    async def responses(self, tenant: str, campaign: str, run: str | None, model: str) -> list[Response]:
        async with self._database.hot(tenant) as connection:
            return [Response(*row) for row in await connection.fetch(_RESPONSES, tenant, campaign, run, model)]

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
        self, tenant: str, campaign: str, run: str | None, measure: str
    ) -> tuple[dict[str, Arm], Arm, Arm]:  # fmt: skip
        """By variant, and of all treated and all held out. A message that went nowhere for another reason is in none."""
        async with self._database.hot(tenant) as connection:
            rows = await connection.fetch(_TRIALS, tenant, campaign, run)
            found = {(variant, held): (trials, delivered) for variant, held, trials, delivered in rows}
            if measure != "delivered":
                column = _TAKEN[measure]
                taken = await connection.fetch(_SUCCESSES.format(column=column), tenant, campaign, run)
                successes = {(variant, held): count for variant, held, count in taken}
                found = {key: (trials, successes.get(key, 0)) for key, (trials, _) in found.items()}
        variants: dict[str, Arm] = {}
        treated = held_out = Arm(0, 0)
        for (variant, is_held_out), (trials, count) in sorted(found.items()):
            if is_held_out:
                held_out = Arm(held_out.trials + trials, held_out.successes + count)
                continue
            treated = Arm(treated.trials + trials, treated.successes + count)
            if variant:
                variants[variant] = Arm(trials, count)
        return variants, treated, held_out

    async def performances(self, tenant: str, since: int, model: str) -> list[Performance]:
        """Of every campaign's variants, messages taken in since then."""
        async with self._database.hot(tenant) as connection:
            return [Performance.of(*row) for row in await connection.fetch(_BEST, tenant, since, model)]

    async def links(self, tenant: str, since: int, limit: int) -> list[LinkLine]:
        """The most followed links, of those followed since then."""
        async with self._database.hot(tenant) as connection:
            return [LinkLine(*row) for row in await connection.fetch(_LINKS, tenant, since, limit)]

"""analytics' HTTP: reports."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with

from analytics.adapters.parquet import as_parquet
from analytics.adapters.report_store import ReportStore
from analytics.adapters.response_store import ResponseStore
from analytics.domain.attribution import DAY_MS, Rule
from analytics.domain.best import best
from analytics.domain.experiments import compare_all, lift, wilson
from analytics.domain.report import report_of
from analytics.domain.report_lines import as_csv, lines_of


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Model = Literal["last", "first", "linear", "decay"]
Campaign = Annotated[str, Path(max_length=200)]
Run = Annotated[str | None, Query(max_length=200)]


class RuleBody(BaseModel):
    """Which events count as a campaign's conversions, and how long after a message."""

    model_config = ConfigDict(extra="forbid")

    window_hours: Annotated[int, Field(ge=1, le=720)] = 168
    events: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=50)] = []


def make_routes(tokens: Tokens, reports: ReportStore, responses: ResponseStore, clock: Clock) -> APIRouter:
    routes = APIRouter()
    Reader = Annotated[Caller, Depends(caller_with(tokens, "reports:read"))]  # noqa: N806 - a type
    Writer = Annotated[Caller, Depends(caller_with(tokens, "campaigns:write"))]  # noqa: N806 - a type

    @routes.get(
        "/v1/campaigns/{campaign_id}/report",
        summary="What became of a campaign's messages, live",
        response_model=None,
        responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
    )
    async def report(campaign_id: Campaign, caller: Reader, run: Run = None, model: Model = "last") -> Response:
        """`accepted` counts every message that the system took responsibility for, dropped ones included, and
        accepted = dropped + delivered + failed + unknown + pending. `submitted` counts those handed to a carrier at
        least once. `audience` is the same as `accepted`: everyone the campaign chose. A campaign without messages
        has zeros; whether it exists is for GET /v1/campaigns/{id} to say.

        `clicks.people` are messages whose link a person followed, `visits` all visits of people, `machines` those of
        previews, scanners and bots. Conversions are shared among the messages of their window by `model`; `corrections`
        tells how many were changed by the tenant after they had been counted. `replies.people` are messages that
        somebody answered. SMS does not tell who opened a message: `opens` is an estimate from clicks and replies with
        its interval, or, where too few did both, what is certain. `by_minute` is the course of the last two hours.
        """
        rows, changed = await reports.campaign(caller.tenant_id, campaign_id, run)
        told = report_of(
            rows,
            await reports.responses(caller.tenant_id, campaign_id, run, model),
            await reports.course(caller.tenant_id, campaign_id, run),
        )
        for minute in told["by_minute"]:
            minute["minute"] = iso(minute["minute"])
        for hour in told["by_hour"]:
            hour["hour"] = iso(hour["hour"])
        corrected = await reports.corrections(caller.tenant_id, campaign_id)
        body = {
            "campaign": campaign_id,
            "run": run,
            "model": model,
            **told,
            "corrections": {**corrected, "last_at": iso(corrected["last_at"]) if corrected["last_at"] else None},
            "changed_at": iso(changed) if changed is not None else None,
            "as_of": iso(clock()),
        }
        # Written at once: FastAPI's own encoder takes longer than all the rest of a long report.
        return Response(msgspec.json.encode(body), media_type="application/json")

    @routes.get(
        "/v1/campaigns/{campaign_id}/report/experiment",
        summary="Which variant did better, and did sending do anything?",
    )
    async def experiment(
        campaign_id: Campaign, caller: Reader, run: Run = None,
        measure: Literal["delivered", "clicked", "replied", "converted", "opted_out"] = "converted",
    ) -> dict[str, Any]:  # fmt: skip
        """Variants are compared by a test that may be looked at at any time: `winner` is null until one is sure, and
        looking early does no harm. `lift` compares those written to with those held out, with a 95 % interval; read it
        when the window is over.
        """
        variants, treated, held_out = await reports.arms(caller.tenant_id, campaign_id, run, measure)
        found = lift(treated, held_out) if measure == "converted" else None
        return {
            "campaign": campaign_id, "run": run, "measure": measure,
            "variants": {name: {"messages": arm.trials, measure: arm.successes, "rate": arm.rate, "interval": wilson(arm)}
                         for name, arm in sorted(variants.items())},
            "comparisons": [
                {"first": c.first, "second": c.second, "difference": c.difference, "interval": (c.low, c.high),
                 "p_value": c.p_value, "enough": c.enough, "winner": c.winner}
                for c in compare_all(variants)
            ],
            "lift": None if found is None else {
                "treated": found.treated._asdict(), "held_out": found.held_out._asdict(), "absolute": found.absolute,
                "interval": (found.low, found.high), "relative": found.relative,
            },
            "as_of": iso(clock()),
        }  # fmt: skip

    @routes.get(
        "/v1/campaigns/{campaign_id}/report/export", summary="The report as CSV or Parquet", response_class=Response
    )
    async def export(
        campaign_id: Campaign, caller: Reader, run: Run = None, model: Model = "last",
        format: Literal["csv", "parquet"] = "csv",
    ) -> Response:  # fmt: skip
        """One line a combination of hour, run, variant, segment, country and carrier. In Parquet `hour` is a timestamp
        and amounts are decimals with six places; `cost` and `revenue` are null where a line has several currencies, and
        `costs` and `revenues` have each."""
        rows, _ = await reports.campaign(caller.tenant_id, campaign_id, run)
        lines = lines_of(rows, await reports.responses(caller.tenant_id, campaign_id, run, model))
        if format == "parquet":
            return Response(await asyncio.to_thread(as_parquet, lines), media_type="application/vnd.apache.parquet")
        for line in lines:
            line["hour"] = iso(int(str(line["hour"]))) if line["hour"] else ""
        return Response(as_csv(lines), media_type="text/csv; charset=utf-8")

    @routes.get("/v1/reports/best", summary="The texts that did best, over all campaigns")
    async def best_messages(
        caller: Reader, by: Literal["clicked", "replied", "converted", "revenue"] = "clicked", model: Model = "last",
        days: Annotated[int, Query(ge=1, le=400)] = 30, limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> dict[str, Any]:  # fmt: skip
        """A text is a campaign's variant. Rates are of submitted messages and ranked by the lower end of their 95 %
        interval, so that luck among few does not win; `revenue` by revenue a submitted message."""
        found = await reports.performances(caller.tenant_id, clock() - days * DAY_MS, model)
        return {"by": by, "days": days, "model": model, "messages": best(found, by, limit), "as_of": iso(clock())}

    @routes.get("/v1/reports/best-offers", summary="The links that people followed most")
    async def best_offers(
        caller: Reader, days: Annotated[int, Query(ge=1, le=400)] = 30, limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> dict[str, Any]:  # fmt: skip
        """An offer is a link (`GET /v1/links/{id}` has its target) within a campaign. `people` are messages whose first
        click it was; `days` chooses links followed since then."""
        found = await reports.links(caller.tenant_id, clock() - days * DAY_MS, limit)
        return {
            "days": days,
            "offers": [
                {"link": line.link_id, "campaign": line.campaign_id or None, "people": line.clickers, "visits": line.clicks,
                 "machines": line.machine_clicks, "last_at": iso(line.last_at)}
                for line in found
            ],
            "as_of": iso(clock()),
        }  # fmt: skip

    @routes.get("/v1/reports/attribution", summary="Which events count, and for how long")
    async def rules(caller: Reader) -> dict[str, Any]:
        found = await responses.rules(caller.tenant_id)
        return {"rules": [{"campaign": name or None, **_shown(rule)} for name, rule in sorted(found.items())]}

    @routes.put("/v1/reports/attribution", summary="Set it for all campaigns without a rule of their own")
    async def set_default(body: RuleBody, caller: Writer) -> dict[str, Any]:
        rule = _rule(body)
        await responses.set_rule(caller.tenant_id, "", rule, clock())
        return {"campaign": None, **_shown(rule)}

    @routes.put("/v1/reports/attribution/{campaign_id}", summary="Set it for one campaign")
    async def set_rule(campaign_id: Campaign, body: RuleBody, caller: Writer) -> dict[str, Any]:
        """Conversions known so far are shared out again by the new rule."""
        rule = _rule(body)
        await responses.set_rule(caller.tenant_id, campaign_id, rule, clock())
        return {"campaign": campaign_id, **_shown(rule)}

    @routes.get("/v1/reports/refused-events", summary="Events that earned nothing, by reason")
    async def refused(caller: Reader) -> dict[str, Any]:
        """`unknown_currency`, `no_currency`, `negative` (tell the same id again with the lower value instead), and
        `erased` for people who asked to be forgotten."""
        return {"refused": await responses.refused(caller.tenant_id)}

    return routes


def _rule(body: RuleBody) -> Rule:
    return Rule(body.window_hours * 3_600_000, frozenset(body.events))


def _shown(rule: Rule) -> dict[str, Any]:
    return {"window_hours": rule.window_ms // 3_600_000, "events": sorted(rule.events)}

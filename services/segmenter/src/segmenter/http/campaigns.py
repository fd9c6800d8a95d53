"""/v1/campaigns: drafted, tried dry, launched, paused, resumed, cancelled. The report is analytics' own."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Meta, Struct
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.audience import Plan, Tried, dry_run, estimated_cost
from segmenter.adapters.campaign_store import RunKey
from segmenter.adapters.catalog import load_segments
from segmenter.adapters.launcher import MissingError, ingredients, schedule_of, start, variants_of
from segmenter.adapters.rule_store import find_rule
from segmenter.domain.approval import Approval, may_approve, needs_approval
from segmenter.domain.campaign_state import Verb, after
from segmenter.domain.compile_filter import FilterError
from segmenter.domain.country_costs import Price
from segmenter.domain.optimise import Optimise
from segmenter.domain.optimise import trouble_with as optimise_trouble
from segmenter.domain.quiet import without_quiet
from segmenter.domain.schedule import Schedule, starts_at
from segmenter.domain.schedule import trouble_with as schedule_trouble
from segmenter.domain.templates import Template
from segmenter.domain.variants import Variant, chooser
from segmenter.domain.variants import trouble_with as split_trouble
from segmenter.domain.when_finished import finished_at
from segmenter.http.bodies import Id, Name, answer, body_of, checked_id, not_found, written, zones
from segmenter.http.parts import Parts
from segmenter.http.segments import condition_of, filter_problem

MOST_LISTED: Final = 1000

# Numeric up to 15 digits, or at most 11 letters, digits and spaces with a letter among them (3GPP TS 23.040, 9.1.2.5).
Sender = Annotated[str, Meta(pattern=r"^(\+?[0-9]{3,15}|(?=[A-Za-z0-9 ]*[A-Za-z])[A-Za-z0-9 ]{1,11})$")]


Share = Annotated[int, Meta(ge=1, le=100)]


class VariantBody(Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,32}$")]
    template: Id
    share: Share


class CampaignBody(Struct, forbid_unknown_fields=True):
    """Either `template`, or `variants` whose shares and `holdout` make 100 percent."""

    name: Name
    segment: Id
    purpose: Literal["marketing", "transactional"]  # a one-time code is nobody's campaign
    template: Id | None = None
    sender: Sender | None = None
    validity_s: Annotated[int, Meta(ge=60, le=259_200)] = 86_400  # sealed topics keep 72 h
    variants: Annotated[list[VariantBody], Meta(max_length=20)] = []
    holdout: Annotated[int, Meta(ge=0, le=50)] = 0
    schedule: Schedule | None = None
    optimise: Optimise | None = None
    exclude_quiet_days: Annotated[int, Meta(ge=1, le=3650)] | None = None


_BODY = msgspec.json.Decoder(CampaignBody)


def make_campaign_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.get("/v1/campaigns")
    async def listed(
        after: str = "", limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100, caller: Caller = may_read
    ) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await parts.campaigns.page(connection, caller.tenant_id, after, limit)
        found = [_draft(row) for row in rows]
        return answer({"campaigns": found, "next": rows[-1]["id"] if len(rows) == limit else None})

    @routes.put("/v1/campaigns/{campaign_id}")
    async def put(campaign_id: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(campaign_id, "id")
        body, tenant = await body_of(request, _BODY), caller.tenant_id
        said = _said(body, parts.clock())
        async with parts.db.hot(tenant) as connection:
            names = [v.template for v in body.variants] or [said["template"]]
            await _found_ingredients(connection, tenant, body.segment, names, body.purpose)
            held = await parts.campaigns.find(connection, tenant, campaign_id, lock=True)
            if held is not None:
                _allowed("edit", held)
            await parts.campaigns.store(connection, tenant, campaign_id, said, caller.key_id, parts.clock())
            shown = await _shown(parts, connection, tenant, campaign_id)
        parts.pump.wake()
        return answer(shown)

    @routes.get("/v1/campaigns/{campaign_id}")
    async def get(campaign_id: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            return answer(await _shown(parts, connection, caller.tenant_id, campaign_id))

    @routes.post("/v1/campaigns/{campaign_id}/dry-run")
    async def dry(campaign_id: str, caller: Caller = may_read) -> Response:
        tenant = caller.tenant_id
        prices = await parts.prices.current()
        async with parts.db.hot({tenant, SYSTEM_TENANT}) as connection:
            row = await _found(parts, connection, tenant, campaign_id)
            plan = await _plan(parts, connection, row, prices)
            tried = await dry_run(connection, tenant, plan, parts.caps, parts.clock())
        tried.result.finish_at = await _finish_at(parts, row, tried)
        return answer(tried.result)

    @routes.post("/v1/campaigns/{campaign_id}/approve")
    async def approve(campaign_id: str, caller: Caller = may_write) -> Response:
        """By another key than the one that wrote the campaign. An edit takes the approval away."""
        tenant, prices = caller.tenant_id, await parts.prices.current()
        async with parts.db.hot({tenant, SYSTEM_TENANT}) as connection:
            row = await _found(parts, connection, tenant, campaign_id, lock=True)
            if row["state"] != "draft":
                raise ProblemError(409, "wrong_state", f"the campaign is {row['state']}: only a draft is approved")
            if not may_approve(row["edited_by"], caller.key_id):
                raise ProblemError(403, "not_another", "who wrote the campaign does not approve it: use another key")
            cost, currency = await _cost(parts, connection, row, prices)
            if cost is None:
                raise ProblemError(503, "no_prices", "what it would cost is not known now: try again later")
            await parts.campaigns.approve(connection, row, caller.key_id, cost, parts.clock())
        return answer({"id": campaign_id, "approved_cost": f"{cost:.4f}", "currency": currency})

    @routes.post("/v1/campaigns/{campaign_id}/launch")
    async def launch(campaign_id: str, caller: Caller = may_write) -> Response:
        """Now, or when its schedule says."""
        tenant, now = caller.tenant_id, parts.clock()
        async with parts.db.hot({tenant, SYSTEM_TENANT}) as connection:
            row = await _found(parts, connection, tenant, campaign_id, lock=True)
            _allowed("launch", row)
            await _check_approval(parts, connection, row)
            at = starts_at(schedule_of(row), now)
            if at > now:
                await parts.campaigns.schedule(connection, tenant, campaign_id, at, now)
                return answer({"run": None, "state": "scheduled", "launch_at": written(at)}, 202)
            key = await _started(parts, connection, row, now)
            run = await parts.campaigns.find_run(connection, key)
        parts.pump.wake()
        return answer({"run": key.run, "state": run["state"], "audience": run["audience"]}, 202)

    @routes.post("/v1/campaigns/{campaign_id}/{verb}")
    async def move(
        campaign_id: str, verb: Literal["pause", "resume", "cancel"], caller: Caller = may_write
    ) -> Response:
        tenant, now = caller.tenant_id, parts.clock()
        async with parts.db.hot(tenant) as connection:
            row = await _found(parts, connection, tenant, campaign_id, lock=True)
            state = _allowed(verb, row)
            if state != row["state"]:
                run = row["run"] if verb == "pause" or row["state"] not in ("draft", "scheduled") else None
                if verb == "pause" and run is None:
                    raise ProblemError(
                        409, "wrong_state", "the campaign has not started: cancel it, or change its schedule"
                    )
                await parts.campaigns.move(connection, row, state, run, now)
                if run is not None and verb == "resume":
                    await parts.campaigns.go_on(connection, RunKey(tenant, campaign_id, run), now)
                elif run is not None and verb == "cancel":
                    await parts.campaigns.cancel_chunks(connection, RunKey(tenant, campaign_id, run))
            shown = await _shown(parts, connection, tenant, campaign_id)
        parts.pump.wake()
        return answer(shown)

    return routes


def _allowed(verb: Verb, row: Any) -> str:
    state = after(verb, row["state"])
    if state is None:
        raise ProblemError(409, "wrong_state", f"the campaign is {row['state']}: it cannot {verb} now")
    return state


async def _found(parts: Parts, connection: Any, tenant: str, campaign_id: str, *, lock: bool = False) -> Any:
    row = await parts.campaigns.find(connection, tenant, campaign_id, lock=lock)
    if row is None:
        raise not_found("campaign")
    return row


def _said(body: CampaignBody, now: int) -> dict[str, Any]:
    """What a draft stores. 422 when its parts do not fit together."""
    if (body.template is None) == (not body.variants):
        raise field_problem("template", "one_of", "give either template or variants")
    variants = [Variant(v.id, v.template, v.share) for v in body.variants]
    wrong = split_trouble(variants, body.holdout)
    if wrong is not None:
        raise field_problem("variants", "invalid_value", wrong)
    if body.optimise is not None:
        local = body.schedule is not None and body.schedule.local_time is not None
        wrong = optimise_trouble(body.optimise, len(variants), local)
        if wrong is not None:
            raise field_problem("optimise", "invalid_value", wrong)
    if body.schedule is not None:
        if body.schedule.zone not in zones():
            raise field_problem("schedule.zone", "invalid_value", "an IANA name such as Europe/Paris")
        trouble = schedule_trouble(body.schedule, now)
        if trouble is not None:
            raise field_problem(f"schedule.{trouble[0]}", "invalid_value", trouble[1])
    said = msgspec.structs.asdict(body) | {"variants": variants}
    return said | {"template": body.template or variants[0].template}


async def _found_ingredients(
    connection: Any, tenant: str, segment_id: str, templates: list[str], purpose: str
) -> tuple[Any, list[Any]]:
    try:
        return await ingredients(connection, tenant, segment_id, templates, purpose)
    except MissingError as error:
        raise field_problem(error.field, error.code, error.detail) from None


async def _started(parts: Parts, connection: Any, row: Any, now: int) -> RunKey:
    try:
        return await start(connection, parts.campaigns, row, now)
    except MissingError as error:
        raise field_problem(error.field, error.code, error.detail) from None
    except FilterError as error:
        raise filter_problem(error) from None


async def _plan(parts: Parts, connection: Any, row: Any, prices: Sequence[tuple[str, Price]] | None) -> Plan:
    tenant, variants = row["tenant_id"], variants_of(row)
    names = [v.template for v in variants] or [row["template"]]
    segment, templates = await _found_ingredients(connection, tenant, row["segment"], names, row["purpose"])
    compiled = [await parts.templates.version(connection, tenant, t["id"], t["version"]) for t in templates]
    ids: list[str | None] = [v.id for v in variants]
    tree = msgspec.json.decode(segment["filter"])
    condition = condition_of(tree, parts.clock(), segments=await load_segments(connection, tenant, tree))
    condition = without_quiet(condition, row["quiet_days"], parts.clock())
    variant_of = chooser(parts.splitter, tenant, row["id"], variants, row["holdout"])
    content = await parts.content.current(connection, [tenant])
    given: dict[str, Any] = {
        "feed": await parts.feeds.current(connection, tenant, _names(compiled, "feed")),
        "coupon": await parts.coupons.examples(connection, tenant, _names(compiled, "coupon")),
    }
    return Plan(
        condition,
        dict(zip(ids or [None], compiled, strict=True)),
        variant_of,
        row["purpose"],
        prices,
        content[tenant],
        given,
        row["sender"],
    )


def _names(templates: Sequence[Template], table: str) -> list[str]:
    return sorted({name for template in templates for name in template.names_within(table)})


async def _finish_at(parts: Parts, row: Any, tried: Tried) -> str | None:
    """When it would be through if it were launched now, or at its schedule's start."""
    schedule, places = schedule_of(row), sorted(tried.places, key=str)
    rate = await parts.credit.rate()
    found = await parts.windows.spans(row["tenant_id"], row["purpose"], places)
    if rate is None or found is None or not tried.result.complete:
        return None
    names = {place: f"{place[0]} {place[1]}" for place in places}
    work = {names[place]: count for place, count in tried.places.items()}
    start = starts_at(schedule, parts.clock())
    spans = {names[place]: spans for place, spans in zip(places, found, strict=True)}
    end = finished_at(work, spans, rate, start)
    return None if end is None else written(max(end, start + schedule.spread_s * 1000))


class ApprovalRule(Struct, forbid_unknown_fields=True):
    """Campaigns above this cost are approved by another key before they are launched."""

    above: Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]


APPROVAL_RULE = msgspec.json.Decoder(ApprovalRule)
APPROVAL: Final = "approval"
DEFAULT_CURRENCY: Final = "EUR"


async def _cost(
    parts: Parts, connection: Any, row: Any, prices: Sequence[tuple[str, Price]] | None
) -> tuple[Decimal | None, str]:
    found = await find_rule(connection, row["tenant_id"], APPROVAL)
    currency = APPROVAL_RULE.decode(found["body"]).currency if found else DEFAULT_CURRENCY
    plan = await _plan(parts, connection, row, prices)
    return await estimated_cost(connection, row["tenant_id"], plan, currency, parts.caps, parts.clock()), currency


async def _check_approval(parts: Parts, connection: Any, row: Any) -> None:
    """409 while a second person has to agree to what it costs."""
    found = await find_rule(connection, row["tenant_id"], APPROVAL)
    if found is None:
        return
    limit = Decimal(APPROVAL_RULE.decode(found["body"]).above)
    cost, _ = await _cost(parts, connection, row, await parts.prices.current())
    given = Approval(row["approved_by"], row["approved_cost"]) if row["approved_by"] else None
    why = needs_approval(limit, cost, given)
    if why is not None:
        raise ProblemError(409, "needs_approval", why)


def _draft(row: Any) -> dict[str, Any]:
    """What was written of a campaign, and where it stands."""
    shown: dict[str, Any] = {"id": row["id"]}
    shown |= {
        name: row[name]
        for name in ("name", "segment", "template", "purpose", "sender", "validity_s", "state", "version", "holdout")
    }
    variants = [{"id": v.id, "template": v.template, "share": v.share} for v in variants_of(row)]
    shown |= {"variants": variants, "schedule": msgspec.Raw(row["schedule"].encode()) if row["schedule"] else None}
    shown["exclude_quiet_days"] = row["quiet_days"]
    shown["optimise"] = msgspec.Raw(row["optimise"].encode()) if row["optimise"] else None
    shown |= {"launch_at": written(row["launch_at"]), "approved_by": row["approved_by"]}
    return shown | {"created_at": written(row["created_at"]), "updated_at": written(row["updated_at"])}


async def _shown(parts: Parts, connection: Any, tenant: str, campaign_id: str) -> dict[str, Any]:
    row = await _found(parts, connection, tenant, campaign_id)
    shown = _draft(row) | {"run": None}
    if row["run"] is not None:
        run = await parts.campaigns.find_run(connection, RunKey(tenant, campaign_id, row["run"]))
        shown["run"] = {
            "run": run["run"], "state": run["state"], "audience": run["audience"], "chunks": run["chunks"],
            "chunks_done": run["chunks_done"], "prepared": run["prepared"], "held": run["held"], "dropped": msgspec.json.decode(run["dropped"]),
            "segment_version": run["segment_version"], "template_version": run["template_version"],
            "launched_at": written(run["born_at"]), "ended_at": written(run["ended_at"]),
            "split": msgspec.json.decode(run["split"]) if run["split"] else None, "split_at": written(run["split_at"]),
        }  # fmt: skip
    return shown

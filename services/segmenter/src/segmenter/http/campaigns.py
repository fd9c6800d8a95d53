"""/v1/campaigns: drafted, tried dry, launched, paused, resumed, cancelled. The report is analytics' own."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.audience import dry_run
from segmenter.adapters.campaign_store import RunKey
from segmenter.adapters.catalog import find_segment, find_template
from segmenter.domain.campaign_state import Verb, after
from segmenter.http.bodies import Id, Name, answer, body_of, checked_id, not_found, written
from segmenter.http.parts import Parts
from segmenter.http.segments import condition_of

# Numeric up to 15 digits, or at most 11 letters, digits and spaces with a letter among them (3GPP TS 23.040, 9.1.2.5).
Sender = Annotated[str, Meta(pattern=r"^(\+?[0-9]{3,15}|(?=[A-Za-z0-9 ]*[A-Za-z])[A-Za-z0-9 ]{1,11})$")]


class CampaignBody(Struct, forbid_unknown_fields=True):
    name: Name
    segment: Id
    template: Id
    purpose: Literal["marketing", "transactional"]  # a one-time code is nobody's campaign
    sender: Sender | None = None
    validity_s: Annotated[int, Meta(ge=60, le=259_200)] = 86_400  # sealed topics keep 72 h


_BODY = msgspec.json.Decoder(CampaignBody)


def make_campaign_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.put("/v1/campaigns/{campaign_id}")
    async def put(campaign_id: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(campaign_id, "id")
        body, tenant = await body_of(request, _BODY), caller.tenant_id
        async with parts.db.hot(tenant) as connection:
            await _ingredients(connection, tenant, body.segment, body.template, body.purpose)
            held = await parts.campaigns.find(connection, tenant, campaign_id, lock=True)
            if held is not None:
                _allowed("edit", held)
            await parts.campaigns.store(connection, tenant, campaign_id, msgspec.structs.asdict(body), parts.clock())
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
        async with parts.db.hot(tenant) as connection:
            row = await _found(parts, connection, tenant, campaign_id)
            segment, template = await _ingredients(connection, tenant, row["segment"], row["template"], row["purpose"])
            condition = condition_of(msgspec.json.decode(segment["filter"]), parts.clock(), first=2)
            compiled = await parts.templates.version(connection, tenant, template["id"], template["version"])
            tried = await dry_run(connection, tenant, condition, compiled, row["purpose"], parts.caps, parts.clock())
            return answer(tried)

    @routes.post("/v1/campaigns/{campaign_id}/launch")
    async def launch(campaign_id: str, caller: Caller = may_write) -> Response:
        tenant, now = caller.tenant_id, parts.clock()
        async with parts.db.hot(tenant) as connection:
            row = await _found(parts, connection, tenant, campaign_id, lock=True)
            _allowed("launch", row)
            segment, template = await _ingredients(connection, tenant, row["segment"], row["template"], row["purpose"])
            audience = condition_of(msgspec.json.decode(segment["filter"]), now, first=4)
            key = await parts.campaigns.launch(connection, row, segment, template, audience, now)
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
                run = row["run"] if row["state"] != "draft" else None
                await parts.campaigns.move(connection, row, state, run, now)
                if run is not None and verb == "resume":
                    await parts.campaigns.release(connection, RunKey(tenant, campaign_id, run), now)
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


async def _ingredients(
    connection: Any, tenant: str, segment_id: str, template_id: str, purpose: str
) -> tuple[Any, Any]:
    """The segment and the template a campaign is made of; 422 when one is missing or for another purpose."""
    segment = await find_segment(connection, tenant, segment_id)
    if segment is None:
        raise field_problem("segment", "unknown", "there is no such segment")
    template = await find_template(connection, tenant, template_id)
    if template is None:
        raise field_problem("template", "unknown", "there is no such template")
    if template["purpose"] != purpose:
        raise field_problem("purpose", "mismatch", f"the template is for {template['purpose']}")
    return segment, template


async def _shown(parts: Parts, connection: Any, tenant: str, campaign_id: str) -> dict[str, Any]:
    row = await _found(parts, connection, tenant, campaign_id)
    shown: dict[str, Any] = {"id": campaign_id}
    shown |= {
        name: row[name]
        for name in ("name", "segment", "template", "purpose", "sender", "validity_s", "state", "version")
    }
    shown |= {"created_at": written(row["created_at"]), "updated_at": written(row["updated_at"]), "run": None}
    if row["run"] is not None:
        run = await parts.campaigns.find_run(connection, RunKey(tenant, campaign_id, row["run"]))
        shown["run"] = {
            "run": run["run"], "state": run["state"], "audience": run["audience"], "chunks": run["chunks"],
            "chunks_done": run["chunks_done"], "prepared": run["prepared"], "dropped": msgspec.json.decode(run["dropped"]),
            "segment_version": run["segment_version"], "template_version": run["template_version"],
            "launched_at": written(run["born_at"]), "ended_at": written(run["ended_at"]),
        }  # fmt: skip
    return shown

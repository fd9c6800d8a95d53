"""/v1/held: messages that content rules hold for a person, and what people decide about them."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import field_problem

from segmenter.adapters.held_store import Ruling
from segmenter.http.bodies import Id, answer, body_of, written
from segmenter.http.parts import Parts

MOST: Final = 1000


class DecisionBody(Struct, forbid_unknown_fields=True):
    """Either `message_ids`, or a `campaign` with, where only some are meant, its `run` and the `rule` that holds them."""

    message_ids: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=MOST)] | None = None
    campaign: Id | None = None
    run: Annotated[str, Meta(max_length=64)] | None = None
    rule: Annotated[str, Meta(max_length=64)] | None = None


_BODY = msgspec.json.Decoder(DecisionBody)


def make_held_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    reviews = Depends(caller_with(parts.tokens, "content:review"))

    @routes.get("/v1/held")
    async def listed(
        campaign: str | None = None, rule: str | None = None, after: str = "",
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100, caller: Caller = reviews,
    ) -> Response:  # fmt: skip
        """With their texts, which is what there is to look at; without numbers."""
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await parts.held.page(connection, caller.tenant_id, campaign, rule, after, limit)
            groups = await parts.held.groups(connection, caller.tenant_id)
        return answer(
            {
                "held": [_shown(parts, row) for row in rows],
                "groups": [{**dict(row), "since": written(row["since"])} for row in groups],
                "next": rows[-1]["message_id"] if len(rows) == limit else None,
            }
        )

    @routes.get("/v1/held/decisions")
    async def decisions(limit: Annotated[int, Query(ge=1, le=MOST)] = 100, caller: Caller = reviews) -> Response:
        """Who decided what and when, the newest first."""
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await parts.held.decisions(connection, caller.tenant_id, limit)
        return answer({"decisions": [{**dict(row), "at": written(row["at"])} for row in rows]})

    @routes.post("/v1/held/release")
    async def release(request: Request, caller: Caller = reviews) -> Response:
        """They go on with the consent of now. A whole campaign's, by rule and run: the rest of the run passes that rule too."""
        return await _decided(parts, request, caller, "release")

    @routes.post("/v1/held/block")
    async def block(request: Request, caller: Caller = reviews) -> Response:
        return await _decided(parts, request, caller, "block")

    return routes


async def _decided(parts: Parts, request: Request, caller: Caller, ruling: Ruling) -> Response:
    body = await body_of(request, _BODY)
    if (body.message_ids is None) == (body.campaign is None):
        raise field_problem("message_ids", "one_of", "give either message_ids or campaign")
    if body.message_ids is not None and (body.run is not None or body.rule is not None):
        raise field_problem("message_ids", "one_of", "run and rule go with campaign")
    async with parts.db.hot(caller.tenant_id) as connection:
        count = await parts.held.decide(
            connection, caller.tenant_id, ruling, caller.key_id, parts.clock(), message_ids=body.message_ids,
            campaign=body.campaign, run=body.run, rule=body.rule,
        )  # fmt: skip
    return answer({"decision": ruling, "messages": count})


def _shown(parts: Parts, row: Any) -> dict[str, Any]:
    names = ("message_id", "run", "purpose", "country", "rule", "features", "fingerprint")
    shown = {name: row[name] for name in names}
    shown |= {"campaign": row["campaign_id"], "contact": row["contact_ref"], "text": parts.held.opened(row).text}
    return shown | {"held_at": written(row["held_at"]), "not_after": written(row["not_after"])}

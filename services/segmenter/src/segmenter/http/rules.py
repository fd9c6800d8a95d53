"""/v1/rules: what a tenant's marketers set for everyone they write to."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import field_problem

from segmenter.adapters.content_rule_store import KIND as CONTENT
from segmenter.adapters.content_rule_store import OPT_OUT_TEXTS
from segmenter.adapters.people import BRANDS_RULE
from segmenter.adapters.retention import RULE as RETENTION_RULE
from segmenter.adapters.rule_store import ANSWERS_RULE, answer_rules, find_rule, store_rule
from segmenter.domain.answers import ANSWERS
from segmenter.domain.content_rules import BOOK, trouble_with
from segmenter.domain.opt_out_texts import Texts
from segmenter.domain.retention import RETENTION
from segmenter.http.bodies import answer, body_of
from segmenter.http.campaigns import APPROVAL, APPROVAL_RULE
from segmenter.http.parts import Parts

Purpose = Literal["marketing", "transactional", "otp"]
Limit = Annotated[int, Meta(ge=0, le=1000)]


class CapBody(Struct, forbid_unknown_fields=True):
    """0: no limit."""

    per_day: Limit = 0
    per_week: Limit = 0


_TEXTS = msgspec.json.Decoder(Texts)
_Sender = Annotated[str, Meta(min_length=1, max_length=15)]
_Brand = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]{0,39}$")]
_BRANDS: "msgspec.json.Decoder[dict[str, str]]" = msgspec.json.Decoder(
    Annotated[dict[_Sender, _Brand], Meta(max_length=500)]
)
_CAP = msgspec.json.Decoder(CapBody)


def make_rule_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    # Whoever launches campaigns does not lift what holds them back.
    administers = Depends(caller_with(parts.tokens, "admin"))
    operates = Depends(caller_with(parts.tokens, "operate"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.put("/v1/rules/frequency-caps/{purpose}")
    async def put_cap(purpose: Purpose, request: Request, caller: Caller = may_write) -> Response:
        body = await body_of(request, _CAP)
        async with parts.db.hot(caller.tenant_id) as connection:
            cap = await parts.caps.put_rule(
                connection, caller.tenant_id, purpose, body.per_day, body.per_week, parts.clock()
            )
        return answer(cap)

    @routes.put("/v1/rules/approval")
    async def put_approval(request: Request, caller: Caller = administers) -> Response:
        body = await body_of(request, APPROVAL_RULE)
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await store_rule(connection, caller.tenant_id, APPROVAL, body, caller.key_id, parts.clock())
        return answer(msgspec.structs.asdict(body) | {"version": version})

    @routes.put("/v1/rules/content")
    async def put_content(request: Request, caller: Caller = administers) -> Response:
        """The tenant's own content rules; they add to the operator's."""
        return await _put_content(parts, request, caller, caller.tenant_id)

    @routes.put("/v1/rules/content/operator")
    async def put_operators(request: Request, caller: Caller = operates) -> Response:
        """Content rules for every tenant, in place of those that came with the service."""
        return await _put_content(parts, request, caller, SYSTEM_TENANT)

    @routes.get("/v1/rules/content")
    async def get_content(caller: Caller = may_read) -> Response:
        """The operator's rules and the tenant's own, with their versions and sources."""
        async with parts.db.hot({caller.tenant_id, SYSTEM_TENANT}) as connection:
            rules = (await parts.content.current(connection, [caller.tenant_id]))[caller.tenant_id]
        return answer({"in_force": rules.name, "books": rules.books})

    @routes.put("/v1/rules/opt-out-texts")
    async def put_opt_out_texts(request: Request, caller: Caller = administers) -> Response:
        """Words that are added to marketing which does not say how to opt out, by country and language."""
        body = await body_of(request, _TEXTS)
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await store_rule(connection, caller.tenant_id, OPT_OUT_TEXTS, body, caller.key_id, parts.clock())
        return answer({"version": version, "texts": body.texts})

    @routes.put("/v1/rules/brands")
    async def put_brands(request: Request, caller: Caller = may_write) -> Response:
        """Whose brand each sender is. Marketing from a brand's sender asks for consent to `marketing:<brand>`, or to all
        marketing."""
        body = await body_of(request, _BRANDS)
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await store_rule(connection, caller.tenant_id, BRANDS_RULE, body, caller.key_id, parts.clock())
        return answer({"brands": body, "version": version})

    @routes.put("/v1/rules/retention")
    async def put_retention(request: Request, caller: Caller = administers) -> Response:
        """How long people's data are kept; a daily job lets go of the rest."""
        body = await body_of(request, RETENTION)
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await store_rule(connection, caller.tenant_id, RETENTION_RULE, body, caller.key_id, parts.clock())
        return answer(msgspec.structs.asdict(body) | {"version": version})

    @routes.put("/v1/rules/answers")
    async def put_answers(request: Request, caller: Caller = operates) -> Response:
        """Which countries' rules ask for an answer to STOP, START and HELP, and what it says; for all tenants."""
        body = await body_of(request, ANSWERS)
        async with parts.db.hot(SYSTEM_TENANT) as connection:
            await store_rule(connection, SYSTEM_TENANT, ANSWERS_RULE, body, caller.key_id, parts.clock())
        return answer(body)

    @routes.get("/v1/rules/answers")
    async def get_answers(caller: Caller = may_read) -> Response:
        async with parts.db.hot(SYSTEM_TENANT) as connection:
            return answer(await answer_rules(connection))

    @routes.get("/v1/rules")
    async def listed(caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            caps = await parts.caps.rules(connection, [caller.tenant_id])
            approval = await find_rule(connection, caller.tenant_id, APPROVAL)
            texts = await find_rule(connection, caller.tenant_id, OPT_OUT_TEXTS)
            retention = await find_rule(connection, caller.tenant_id, RETENTION_RULE)
            brands = await find_rule(connection, caller.tenant_id, BRANDS_RULE)
        told: dict[str, Any] = {
            "frequency_caps": sorted(caps.values(), key=lambda cap: cap.purpose),
            "approval": None,
            "retention": None,
            "brands": {},
        }
        if brands is not None:
            told["brands"] = msgspec.Raw(brands["body"].encode())
        if retention is not None:
            told["retention"] = msgspec.json.decode(retention["body"]) | {"version": retention["version"]}
        if approval is not None:
            told["approval"] = msgspec.json.decode(approval["body"]) | {"version": approval["version"]}
        if texts is not None:
            told["opt_out_texts"] = msgspec.json.decode(texts["body"]) | {"version": texts["version"]}
        return answer(told)

    return routes


async def _put_content(parts: Parts, request: Request, caller: Caller, whose: str) -> Response:
    book = await body_of(request, BOOK)
    if book.version:
        raise field_problem("version", "invalid_value", "is counted by the service")
    trouble = trouble_with(book)
    if trouble is not None:
        raise field_problem(trouble[0], "invalid_value", trouble[1])
    async with parts.db.hot(whose) as connection:
        version = await store_rule(connection, whose, CONTENT, {"rules": book.rules}, caller.key_id, parts.clock())
    return answer({"version": version, "rules": book.rules})

"""POST /v1/messages/estimate: what a text takes, and costs where the router tells prices. Sends nothing."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import field_problem
from shared.text.errors import TextError
from shared.text.estimate import estimate

from segmenter.domain.country_costs import country_costs
from segmenter.domain.prepare import MAX_PARTS, Drop, rendered
from segmenter.http.bodies import Id, Locale, answer, body_of, not_found
from segmenter.http.parts import Parts


class EstimateBody(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=20_000)] | None = None
    template: Id | None = None
    variables: dict[str, Any] = {}
    locale: Locale | None = None


_BODY = msgspec.json.Decoder(EstimateBody)


def make_estimate_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "messages:write"))

    @routes.post("/v1/messages/estimate")
    async def post(request: Request, caller: Caller = may_write) -> Response:
        body = await body_of(request, _BODY)
        if (body.text is None) == (body.template is None):
            raise field_problem("text", "one_of", "give either text or template")
        text = body.text if body.text is not None else await _rendered(parts, caller.tenant_id, body)
        field = "text" if body.text is not None else "template"
        try:
            found = estimate(text)
        except TextError as error:
            raise field_problem(field, "unencodable", str(error)) from None
        if found.parts > MAX_PARTS:
            raise field_problem(field, "too_long", f"needs {found.parts} parts; {MAX_PARTS} are the most")
        told = msgspec.structs.asdict(found)
        prices = await parts.prices.current()
        if prices is not None:
            told["costs"] = [
                {"country": cost.country, "lowest": str(cost.lowest), "currency": cost.currency}
                for cost in country_costs(prices, found.parts)
            ]
        return answer(told)

    return routes


async def _rendered(parts: Parts, tenant: str, body: EstimateBody) -> str:
    assert body.template is not None
    async with parts.db.hot(tenant) as connection:
        found = await parts.templates.current(connection, [(tenant, body.template)])
    if not found:
        raise not_found("template")
    ready = rendered(found[tenant, body.template], body.locale, body.variables)
    if isinstance(ready, Drop):
        raise field_problem("variables", ready.reason, ready.detail or "cannot be rendered")
    return ready.text

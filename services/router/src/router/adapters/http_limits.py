"""What tenants have used of their limits, and the credit under which the segmenter releases marketing."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with
from shared.http.problems import field_problem

from router.adapters.backlog import Backlog
from router.adapters.limits_store import LimitsStore
from router.adapters.requests import json_of
from router.domain.credit import Credit, rate_of
from router.domain.money import text_of
from router.picture import Picture
from router.waiting import WaitingGauge

Told = dict[str, Any]
LOOK_BACK_MS = 40 * 86_400_000


def make_limits_routes(
    tokens: Tokens, picture: Picture, backlog: Backlog, gauge: WaitingGauge, store: LimitsStore, clock: Clock
) -> APIRouter:
    routes = APIRouter()
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type
    Internal = Annotated[Caller, Depends(caller_with(tokens, "internal"))]  # noqa: N806 - a type

    @routes.get("/v1/routes/limits/used", summary="What tenants have used of their limits, by period")
    async def used(_: Operator, tenant: str | None = None) -> Told:
        found = await store.used(tenant, clock() - LOOK_BACK_MS)
        return {
            "version": picture.rules.rules.limits.version,
            "used": [
                {
                    "tenant": one.tenant, "limit": one.limit, "campaign": one.campaign or None, "period": one.period,
                    "messages": one.messages, "cost": text_of(one.cost),
                }
                for one in found
            ],
        }  # fmt: skip

    def credit() -> Credit:
        waits = backlog.waits
        # What cannot be measured is not released.
        if waits is None:
            return Credit(0, 0)
        return Credit(rate_of(picture.carriers.tariff, picture.health, clock()), waits + gauge.for_a_carrier)

    @routes.get("/internal/v1/credit", include_in_schema=False)
    async def room(_: Internal) -> Told:
        found = credit()
        return {"messages": found.messages, "rate": found.rate}

    @routes.post("/internal/v1/credit", include_in_schema=False)
    async def grant(request: Request, _: Internal) -> Told:
        """`{"wants": {"acme": 2000}}`: how many messages each tenant would release. Answers how many it may."""
        body = await json_of(request)
        wants = body.get("wants") if isinstance(body, dict) else None
        if not isinstance(wants, dict) or not all(type(count) is int and count >= 0 for count in wants.values()):
            raise field_problem("wants", "invalid", "must be whole numbers by tenant")
        found = await store.grant(wants, credit(), backlog.waits or 0, picture.rules.rules.limits, gauge.by_tenant)
        return {"granted": found}

    return routes

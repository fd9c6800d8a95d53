"""analytics' HTTP: reports."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with

from analytics.adapters.rollup_store import RollupStore
from analytics.domain.report import report_of


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_routes(tokens: Tokens, store: RollupStore, clock: Clock) -> APIRouter:
    routes = APIRouter()
    Reader = Annotated[Caller, Depends(caller_with(tokens, "reports:read"))]  # noqa: N806 - a type

    @routes.get("/v1/campaigns/{campaign_id}/report", summary="What became of a campaign's messages, live")
    async def report(
        campaign_id: str, caller: Reader, run: Annotated[str | None, Query(max_length=200)] = None
    ) -> dict[str, Any]:
        """`accepted` counts every message that the system took responsibility for, dropped ones included, and
        accepted = dropped + delivered + failed + unknown + pending. `submitted` counts those handed to a carrier at
        least once. `audience` is the same as `accepted`: everyone the campaign chose. A campaign without messages
        has zeros; whether it exists is for GET /v1/campaigns/{id} to say.
        """
        rows, changed = await store.campaign(caller.tenant_id, campaign_id, run)
        told = report_of(rows)
        for minute in told["by_minute"]:
            minute["minute"] = iso(minute["minute"])
        return {
            "campaign": campaign_id,
            "run": run,
            **told,
            "changed_at": iso(changed) if changed is not None else None,
            "as_of": iso(clock()),
        }

    return routes

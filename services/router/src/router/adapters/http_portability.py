"""Networks of single numbers: imported from a file, and how many are known."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from shared.clock import Clock
from shared.crypto.ids import NumberIndex
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with
from shared.http.problems import field_problem

from router.adapters.portability_store import PortabilityStore
from router.adapters.requests import json_of, problem_of
from router.domain.portability import Known, read_ported
from router.domain.trouble import TroublesError

Told = dict[str, Any]
LONGEST_DAYS = 366
SLICE = 5_000


def make_portability_routes(tokens: Tokens, store: PortabilityStore, numbers: NumberIndex, clock: Clock) -> APIRouter:
    routes = APIRouter()
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type

    @routes.post("/v1/routes/ported", summary="Import the networks of ported numbers; they hold for some days")
    async def put(request: Request, _: Operator) -> Told:
        """`{"csv": "number,mcc,mnc\\n+33612345678,208,10\\n", "days": 30}`. The numbers are kept as keyed hashes only."""
        body = await json_of(request)
        if not isinstance(body, dict) or not isinstance(body.get("csv"), str):
            raise field_problem("csv", "invalid", "must be the table as text")
        days = body.get("days", 30)
        if type(days) is not int or not 1 <= days <= LONGEST_DAYS:
            raise field_problem("days", "invalid", f"must be a whole number from 1 to {LONGEST_DAYS}")
        try:
            given = read_ported(body["csv"])
        except TroublesError as error:
            raise problem_of("invalid_ported_numbers", error.troubles) from error
        expires = clock() + days * 86_400_000
        rows = [(numbers.number_hash(number), Known(network, expires)) for number, network in given.items()]
        for start in range(0, len(rows), SLICE):
            await store.keep(dict(rows[start : start + SLICE]), "file")
        return {"numbers": len(rows), "expires_at": expires}

    @routes.get("/v1/routes/ported", summary="How many numbers' networks are known, by source")
    async def count(_: Operator) -> Told:
        return {"numbers": dict(await store.count())}

    return routes

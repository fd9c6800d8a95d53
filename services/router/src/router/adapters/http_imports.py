"""Tables that operators import: carriers' price lists, and the number plan."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from router.adapters.carriers_store import CarriersStore
from router.adapters.requests import json_of, problem_of
from router.adapters.rules_store import RulesStore
from router.domain.money import text_of
from router.domain.number_plan import read_ranges
from router.domain.price_list import checked_mapping, read_list, without_price
from router.domain.tariff import NO_LIST
from router.domain.trouble import TroublesError

Told = dict[str, Any]
_FIELDS = ("carrier", "csv", "mapping", "dry_run")


def make_import_routes(tokens: Tokens, carriers: CarriersStore, rules: RulesStore, clock: Clock) -> APIRouter:
    routes = APIRouter()
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type

    @routes.post("/v1/prices/import", summary="Import a carrier's price list, or look at how it would be read")
    async def import_prices(request: Request, caller: Operator) -> Told:
        """`{"carrier", "csv", "mapping"?, "dry_run"?}`: without a mapping one is proposed from the heading."""
        body = await json_of(request)
        if not isinstance(body, dict):
            raise field_problem("body", "invalid", "must be a JSON object")
        for name in body:
            if name not in _FIELDS:
                raise field_problem(name, "unknown", "no such field")
        carrier, text = body.get("carrier"), body.get("csv")
        if not isinstance(text, str) or not text.strip():
            raise field_problem("csv", "invalid", "must be the list as text")
        currency = await carriers.currency_of(carrier) if isinstance(carrier, str) else None
        if currency is None:
            raise field_problem("carrier", "unknown", "there is no carrier of this id: describe it first")
        try:
            mapping = checked_mapping(body.get("mapping"), text)
            found = read_list(text, mapping, currency, clock())
        except TroublesError as error:
            raise problem_of("invalid_price_list", error.troubles) from error
        told: Told = {
            "carrier": carrier, "rows": found.rows, "starts_at": found.starts, "samples": found.samples,
            "mapping": {"columns": mapping.columns, "separator": mapping.separator, "decimal": mapping.decimal, "date": mapping.date},
            "networks_without_price": without_price(found.prices, rules.plan),
        }  # fmt: skip
        if body.get("dry_run"):
            return told | {"imported": False, "version": carriers.tariff.version}
        return told | {"imported": True, "version": await carriers.put_list(str(carrier), found, caller.key_id)}

    @routes.get("/v1/prices/networks", summary="Prices by network that are in force, of one carrier")
    async def list_networks(_: Operator, carrier: str) -> Told:
        tariff = carriers.tariff
        terms = tariff.terms.get(carrier)
        if terms is None:
            raise ProblemError(404, "not_found", "there is no carrier of this id")
        prices = tariff.lists.get(carrier, NO_LIST)
        return {
            "version": tariff.version, "carrier": carrier, "currency": terms.currency, "changes_at": prices.changes_at,
            "networks": {code: text_of(price) for code, price in sorted(prices.networks.items())},
            "prefixes": {code: text_of(price) for code, price in sorted(prices.prefixes.items())},
        }  # fmt: skip

    @routes.post(
        "/v1/routes/number-plan", summary="Import number ranges; they replace those of the countries they name"
    )
    async def import_ranges(request: Request, _: Operator) -> Told:
        """`{"csv": "prefix,country,mcc,mnc,operator\\n..."}`."""
        body = await json_of(request)
        if not isinstance(body, dict) or not isinstance(body.get("csv"), str):
            raise field_problem("csv", "invalid", "must be the table as text")
        try:
            ranges = read_ranges(body["csv"])
        except TroublesError as error:
            raise problem_of("invalid_number_plan", error.troubles) from error
        await rules.put_ranges(ranges)
        return {"ranges": len(ranges), "countries": rules.plan.countries()}

    @routes.get("/v1/routes/number-plan", summary="How many ranges are known by country, or what a prefix belongs to")
    async def look_up(_: Operator, prefix: str | None = None) -> Told:
        plan = rules.plan
        if prefix is None:
            return {"ranges": len(plan), "countries": plan.countries()}
        found = plan.range_of(prefix)
        if found is None:
            raise ProblemError(404, "not_found", "no range holds this prefix")
        return {
            "range": found.prefix,
            "country": found.country,
            "network": found.network or None,
            "operator": found.operator,
        }

    return routes

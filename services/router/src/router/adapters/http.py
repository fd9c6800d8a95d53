"""The router's HTTP: carriers and prices for operators, and explanations."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from router.adapters.carriers_store import CarriersStore, OtherCurrencyError
from router.adapters.explanation import asked_of, explained
from router.adapters.replay import PreparedLog
from router.adapters.requests import json_of, problem_of
from router.domain.check_carrier import CarrierTroubleError, check_carrier, check_id
from router.domain.check_routes import check_routes
from router.domain.choose_carrier import CarrierChoice
from router.domain.health import HealthPicture
from router.domain.money import text_of
from router.domain.routes import compile_routes
from router.domain.tariff import Tariff, Terms
from router.domain.trouble import TroublesError
from router.domain.what_if import WhatIf
from router.domain.windows import known_zone
from router.picture import Picture

Told = dict[str, Any]
LONGEST_REPLAY_S = 72 * 3600
MOST_REPLAYED = 200_000


def _told_carrier(terms: Terms, tariff: Tariff, health: HealthPicture, now: int) -> Told:
    bar = tariff.bar(terms)
    return {
        "id": terms.carrier,
        "tps": terms.tps,
        "binds": terms.binds,
        "currency": terms.currency,
        "prices": {prefix: text_of(price) for prefix, price in sorted(terms.prices.items())},
        "enabled": terms.enabled,
        "connector": "no connector" if bar == "no_connector" else "present",
        "health": _told_health(terms.carrier, health, now),
        "quality": [
            {
                "country": q.country,
                "delivery_rate": round(q.delivery_rate, 4),
                "delay_ms": round(q.delay_ms),
                "window_s": q.window_s,
                "at": q.occurred_at,
            }
            for q in health.quality(terms.carrier)
        ],
    }


def _told_health(carrier: str, health: HealthPicture, now: int) -> Told:
    report = health.report(carrier)
    found: Told = {"state": health.standing(carrier, now).name.lower()}
    if report is not None:
        found |= {
            "age_ms": max(0, now - report.occurred_at),
            "binds_up": report.binds_up,
            "binds_wanted": report.binds_wanted,
            "rate": round(report.rate, 1),
            "limit": report.limit,
            "alarm": report.alarm,
        }
    return found


def make_routes(
    tokens: Tokens,
    carriers: CarriersStore,
    picture: Picture,
    log: PreparedLog,
    known_network: Callable[[str, int], Awaitable[str | None]],
    clock: Clock,
) -> APIRouter:
    routes, health = APIRouter(), picture.health
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type
    Internal = Annotated[Caller, Depends(caller_with(tokens, "internal"))]  # noqa: N806 - a type

    @routes.put("/v1/carriers/{carrier}", summary="Describe a carrier: rate, binds and prices")
    async def put_carrier(carrier: str, request: Request, caller: Operator) -> Told:
        try:
            check_id(carrier)
            terms = check_carrier(carrier, await json_of(request))
            version = await carriers.put(terms, caller.key_id)
        except CarrierTroubleError as error:
            raise ProblemError(
                422, "invalid_carrier", str(error), errors=[trouble._asdict() for trouble in error.troubles]
            ) from error
        except OtherCurrencyError as error:
            raise field_problem("currency", "other_currency", str(error), status=409) from error
        tariff = carriers.tariff
        return _told_carrier(terms, tariff, health, clock()) | {"version": version}

    @routes.get("/v1/carriers/{carrier}", summary="One carrier with its prices, health and quality")
    async def get_carrier(carrier: str, _: Operator) -> Told:
        tariff = carriers.tariff
        terms = tariff.terms.get(carrier)
        if terms is None:
            raise ProblemError(404, "not_found", "there is no carrier of this id")
        return _told_carrier(terms, tariff, health, clock()) | {"version": tariff.version}

    @routes.get("/v1/carriers", summary="All carriers")
    async def list_carriers(_: Operator) -> Told:
        tariff, now = carriers.tariff, clock()
        return {
            "version": tariff.version,
            "carriers": [_told_carrier(terms, tariff, health, now) for _, terms in sorted(tariff.terms.items())],
        }

    @routes.get("/v1/prices", summary="All prices, by carrier and number prefix")
    async def list_prices(_: Operator, carrier: str | None = None, prefix: str | None = None) -> Told:
        tariff = carriers.tariff
        return {
            "version": tariff.version,
            "prices": [
                {"carrier": name, "prefix": begins, "price": text_of(price), "currency": terms.currency}
                for name, terms in sorted(tariff.terms.items())
                for begins, price in sorted(terms.prices.items())
                if carrier in (None, name) and prefix in (None, begins)
            ],
        }

    @routes.post("/v1/routes/explain", summary="Which carrier would take such a message now, and why")
    async def explain(request: Request, _: Operator) -> Told:
        body = await json_of(request)
        asked, now = asked_of(body), clock()
        network = await known_network(body["to"], now) if body.get("to") else None
        return explained(asked, picture.decider(now), health, picture.rules.rules.limits, network)

    @routes.post("/v1/routes/replay", summary="What the last hours' messages would have cost under other routing rules")
    async def replay(request: Request, _: Operator) -> Told:
        """`{"rules": a book for PUT /v1/routes, "from_s": 86400, "limit": 100000}`."""
        body = await json_of(request)
        if not isinstance(body, dict) or not {"rules"} <= body.keys() <= {"rules", "from_s", "limit"}:
            raise field_problem("body", "invalid", "must be an object of rules, from_s and limit")
        from_s, limit = body.get("from_s", 86_400), body.get("limit", 100_000)
        if type(from_s) is not int or not 1 <= from_s <= LONGEST_REPLAY_S:
            raise field_problem(
                "from_s", "invalid", f"must be whole seconds, at most {LONGEST_REPLAY_S}: so long the log is kept"
            )
        if type(limit) is not int or not 1 <= limit <= MOST_REPLAYED:
            raise field_problem("limit", "invalid", f"must be a whole number, at most {MOST_REPLAYED}")
        try:
            draft = compile_routes(0, check_routes(body["rules"], carriers.tariff, picture.rules.plan))
        except TroublesError as error:
            raise problem_of("invalid_routes", error.troubles) from error
        now = clock()
        decider = picture.decider(now)
        present = CarrierChoice(carriers.tariff, health, now, picture.rules.rules.routes)
        what_if = WhatIf(present, CarrierChoice(carriers.tariff, health, now, draft), health, now)
        async for message in log.since(now - from_s * 1000, limit):
            if message.verdict == "pass":
                what_if.add(message, lambda m: decider.ask(m, m.sender))
        return what_if.told()

    @routes.post("/internal/v1/openings", include_in_schema=False)
    async def openings(request: Request, _: Internal) -> list[int]:
        """When the send windows open for each country and zone, ms UTC; those that are open answer with now."""
        asked, now = await json_of(request), clock()
        windows = picture.rules.rules.windows
        return [
            windows.opening(country, asked["purpose"], asked["tenant"], known_zone(zone), now)[0]
            for country, zone in asked["places"]
        ]

    @routes.post("/internal/v1/open-spans", include_in_schema=False)
    async def open_spans(request: Request, _: Internal) -> list[list[tuple[int, int]]]:
        """When the send windows are open in the coming week, for each country and zone."""
        asked, now = await json_of(request), clock()
        windows, until = picture.rules.rules.windows, now + 7 * 86_400_000
        return [
            windows.spans(country, asked["purpose"], asked["tenant"], known_zone(zone), now, until)
            for country, zone in asked["places"]
        ]

    return routes

"""The router's HTTP: carriers and prices for operators, explanations, and the credit for the segmenter."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from shared.clock import Clock
from shared.contracts.fields import PURPOSES
from shared.contracts.topics import lane_of
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from router.adapters.backlog import Backlog
from router.adapters.carriers_store import CarriersStore, OtherCurrencyError
from router.domain.check_carrier import CarrierTroubleError, check_carrier, check_id
from router.domain.choose_carrier import CarrierChoice, Send
from router.domain.credit import Credit, rate_of
from router.domain.decide import RETRY_MS
from router.domain.health import HealthPicture
from router.domain.money import text_of
from router.domain.tariff import PREFIX_DIGITS, Tariff, Terms, prefix_of

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_PREFIX = re.compile(rf"[0-9]{{0,{PREFIX_DIGITS}}}", re.ASCII)
_EXPLAIN_FIELDS = ("to", "prefix", "class", "parts")
MOST_PARTS = 255  # a concatenated message's part count is one octet (3GPP TS 23.040, section 9.2.3.24.1)
LARGEST_BODY = 2 * 1024 * 1024
Told = dict[str, Any]


async def _json(request: Request) -> Any:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ProblemError(413, "too_large", f"the body is larger than {LARGEST_BODY} bytes")
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ProblemError(400, "invalid_json", "the body is not JSON") from error


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
    health: HealthPicture,
    backlog: Backlog,
    waiting: Callable[[], int],
    clock: Clock,
) -> APIRouter:
    routes = APIRouter()
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type
    Internal = Annotated[Caller, Depends(caller_with(tokens, "internal"))]  # noqa: N806 - a type

    @routes.put("/v1/carriers/{carrier}", summary="Describe a carrier: rate, binds and prices")
    async def put_carrier(carrier: str, request: Request, caller: Operator) -> Told:
        try:
            check_id(carrier)
            terms = check_carrier(carrier, await _json(request))
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
        body = await _json(request)
        prefix, purpose, parts = _asked(body)
        now = clock()
        choice = CarrierChoice(carriers.tariff, health, now)
        found = choice.choose(prefix)
        told: Told = {
            "prefix": prefix,
            "class": purpose,
            "parts": parts,
            "version": carriers.tariff.version,
            "decision": found.decision,
        }
        if isinstance(found, Send):
            told |= {"outcome": "send", "carrier": found.carrier, "cost": text_of(found.price * parts)}
        elif found.reason == "no_price":
            told |= {"outcome": "drop", "reason": "no_route"}
        else:
            told |= {"outcome": "defer", "reason": found.reason, "retry_ms": RETRY_MS[lane_of(purpose)]}
        told["candidates"] = [
            {
                "carrier": c.offer.carrier,
                "matched": c.offer.matched,
                "price": text_of(c.offer.price),
                "cost": text_of(c.offer.price * parts),
                "currency": c.offer.currency,
                "health": c.standing.name.lower(),
                "spare_rate": round(health.spare(c.offer.carrier), 1),
                "result": c.verdict,
            }
            for c in choice.candidates(prefix)
        ]
        told["without_price"] = sorted(carriers.tariff.terms.keys() - {c["carrier"] for c in told["candidates"]})
        return told

    @routes.get("/internal/v1/credit", include_in_schema=False)
    async def credit(_: Internal) -> Told:
        rate = rate_of(carriers.tariff, health, clock())
        waits = backlog.waits
        # What cannot be measured is not released.
        found = Credit(rate, waits + waiting()) if waits is not None else Credit(0, 0)
        return {"messages": found.messages, "rate": rate}

    return routes


def _asked(body: Any) -> tuple[str, str, int]:
    if not isinstance(body, dict):
        raise field_problem("body", "invalid", "must be a JSON object")
    for name in body:
        if name not in _EXPLAIN_FIELDS:
            raise field_problem(name, "unknown", "no such field")
    to, prefix, purpose, parts = body.get("to"), body.get("prefix"), body.get("class"), body.get("parts", 1)
    if (to is None) == (prefix is None):
        raise field_problem("to", "invalid", "give either to, a number in E.164, or prefix, its first digits")
    if to is not None and (not isinstance(to, str) or not _NUMBER.fullmatch(to)):
        raise field_problem("to", "invalid", "must be a number in E.164: + and 7 to 15 digits")
    if prefix is not None and (not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix)):
        raise field_problem("prefix", "invalid", f"must be at most {PREFIX_DIGITS} digits without +")
    if purpose not in PURPOSES:
        raise field_problem("class", "invalid", f"must be one of {', '.join(PURPOSES)}")
    if isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= MOST_PARTS:
        raise field_problem("parts", "invalid", f"must be a whole number from 1 to {MOST_PARTS}")
    return (prefix_of(to) if to is not None else str(prefix)), str(purpose), parts

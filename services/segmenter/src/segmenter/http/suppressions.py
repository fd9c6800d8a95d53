"""/v1/suppressions: numbers that get no marketing, kept as keyed hashes."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import field_problem

from segmenter.adapters.consent_store import Number
from segmenter.domain.numbers import judge, written_as_e164
from segmenter.http.bodies import Name, Ref, answer, body_of, decoded, not_found, read, written
from segmenter.http.parts import Parts

MOST_LISTED: Final = 1000


class Whom(Struct, forbid_unknown_fields=True):
    contact: Ref | None = None
    number: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    reason: Name = "asked"


_BODY = msgspec.json.Decoder(Whom)


def make_suppression_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "contacts:write"))
    may_read = Depends(caller_with(parts.tokens, "contacts:read"))

    @routes.post("/v1/suppressions")
    async def add(request: Request, caller: Caller = may_write) -> Response:
        whom, tenant = await body_of(request, _BODY), caller.tenant_id
        async with parts.db.hot(tenant) as connection:
            number = await _number(parts, connection, tenant, whom)
            await parts.suppressions.add(connection, tenant, number, whom.contact, whom.reason, "api", parts.clock())
        parts.pump.wake()
        return answer({"contact_id": number.contact_id, "status": "suppressed"}, 201)

    @routes.get("/v1/suppressions")
    async def listed(
        after: str = "", limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100, caller: Caller = may_read
    ) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await parts.suppressions.listed(connection, caller.tenant_id, after, limit)
        found = [
            {"contact_id": r["contact_id"], "contact": r["contact_ref"], "reason": r["reason"], "source": r["source"], "at": written(r["at"])}
            for r in rows
        ]  # fmt: skip
        return answer({"suppressions": found, "next": rows[-1]["contact_id"] if len(rows) == limit else None})

    @routes.delete("/v1/suppressions")
    async def remove(request: Request, contact: str | None = None, caller: Caller = may_write) -> Response:
        """By `?contact=` or by a body with contact or number: a number never stands in an address."""
        raw = await read(request)
        whom = decoded(raw, _BODY) if raw else Whom(contact=contact)
        async with parts.db.hot(caller.tenant_id) as connection:
            number = await _number(parts, connection, caller.tenant_id, whom)
        return await _remove(parts, caller.tenant_id, number.contact_id)

    @routes.delete("/v1/suppressions/{contact_id}")
    async def remove_one(contact_id: str, caller: Caller = may_write) -> Response:
        return await _remove(parts, caller.tenant_id, contact_id)

    return routes


async def _remove(parts: Parts, tenant: str, contact_id: str) -> Response:
    async with parts.db.hot(tenant) as connection:
        removed = await parts.suppressions.remove(connection, tenant, contact_id, parts.clock())
    if not removed:
        raise not_found("suppression")
    parts.pump.wake()
    return Response(status_code=204)


async def _number(parts: Parts, connection: object, tenant: str, whom: Whom) -> Number:
    if (whom.contact is None) == (whom.number is None):
        raise field_problem("contact", "one_of", "give either contact or number")
    if whom.contact is not None:
        row = await parts.contacts.find(connection, tenant, whom.contact)
        if row is None:
            raise not_found("contact")
        return Number(row["contact_id"], row["number_hash"])
    given = written_as_e164(whom.number or "")
    if given is None:
        raise field_problem("number", "invalid_number", "an international number such as +33 6 12 34 56 78")
    return parts.number(tenant, judge(given).number)

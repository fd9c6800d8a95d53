"""/v1/suppressions: numbers that get no marketing, kept as keyed hashes."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.db.migrate import EVERYONE
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.consent_store import Number
from segmenter.domain.numbers import judge, written_as_e164
from segmenter.http.bodies import Name, Ref, answer, body_of, decoded, not_found, read, written
from segmenter.http.parts import Parts

MOST_LISTED: Final = 1000
MOST_BAD: Final = 100
AT_ONCE: Final = 500
LONGEST_LINE: Final = 1000


class Whom(Struct, forbid_unknown_fields=True):
    contact: Ref | None = None
    number: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    reason: Name = "asked"


class ListReport(Struct):
    """`bad_lines` names the first hundred lines that hold no international number."""

    lines: int = 0
    added: int = 0
    failed: int = 0
    bad_lines: list[int] = []

    def refuse(self) -> None:
        self.failed += 1
        if len(self.bad_lines) < MOST_BAD:
            self.bad_lines.append(self.lines)


_BODY = msgspec.json.Decoder(Whom)


def make_suppression_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "contacts:write"))
    operates = Depends(caller_with(parts.tokens, "operate"))
    may_read = Depends(caller_with(parts.tokens, "contacts:read"))

    @routes.post("/v1/suppressions")
    async def add(request: Request, caller: Caller = may_write) -> Response:
        whom, tenant = await body_of(request, _BODY), caller.tenant_id
        async with parts.db.hot(tenant) as connection:
            number = await _number(parts, connection, tenant, whom)
            await parts.suppressions.add(connection, tenant, number, whom.contact, whom.reason, "api", parts.clock())
        parts.pump.wake()
        return answer({"contact_id": number.contact_id, "status": "suppressed"}, 201)

    @routes.post("/v1/suppressions/import")
    async def load(
        request: Request, reason: Annotated[str, Query(min_length=1, max_length=200)] = "do-not-call list",
        everybody: bool = False, caller: Caller = may_write,
    ) -> Response:  # fmt: skip
        """A list of numbers, one a line (a complaints file, a do-not-call register); with `everybody` for all tenants,
        which needs the scope operate. Only keyed hashes are kept. Repeating it is harmless."""
        if everybody and not caller.may("operate"):
            raise ProblemError(403, "forbidden", "a list for all tenants needs the scope operate")
        return answer(await _load(parts, caller, request, reason, everybody=everybody))

    @routes.delete("/v1/suppressions/everybody")
    async def remove_for_everybody(request: Request, caller: Caller = operates) -> Response:
        """Takes a number from the list that holds for all tenants; the number comes in the body."""
        given = written_as_e164(decoded(await read(request), _BODY).number or "")
        if given is None:
            raise field_problem("number", "invalid_number", "an international number such as +33 6 12 34 56 78")
        async with parts.db.hot(EVERYONE) as connection:
            removed = await parts.suppressions.remove_for_everybody(
                connection, parts.index.number_hash(judge(given).number), parts.clock()
            )
        if not removed:
            raise not_found("suppression")
        parts.pump.wake()
        return Response(status_code=204)

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


async def _load(parts: Parts, caller: Caller, request: Request, reason: str, *, everybody: bool) -> ListReport:
    report, rest = ListReport(), b""
    async for piece in request.stream():
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ProblemError(422, "invalid_request", "one number a line: a line does not end")
        for start in range(0, len(whole), AT_ONCE):
            await _load_lines(parts, caller, whole[start : start + AT_ONCE], reason, report, everybody=everybody)
    await _load_lines(parts, caller, [rest] if rest else [], reason, report, everybody=everybody)
    parts.pump.wake()
    return report


async def _load_lines(
    parts: Parts, caller: Caller, lines: list[bytes], reason: str, report: ListReport, *, everybody: bool
) -> None:  # fmt: skip
    numbers: dict[str, Number] = {}
    for line in lines:
        report.lines += 1
        written_number = line.decode("ascii", "replace").strip().strip('"')
        if not written_number:
            continue
        given = written_as_e164(written_number)
        if given is None:
            report.refuse()
            continue
        number = judge(given).number
        numbers[number] = parts.number(caller.tenant_id, number)
    if not numbers:
        return
    async with parts.db.hot(EVERYONE if everybody else caller.tenant_id) as connection:
        if everybody:
            hashes = [n.number_hash for n in numbers.values()]
            report.added += await parts.suppressions.add_for_everybody(
                connection, hashes, reason, "import", parts.clock()
            )
        else:
            report.added += await parts.suppressions.add_all(
                connection, caller.tenant_id, list(numbers.values()), reason, "import", parts.clock()
            )


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

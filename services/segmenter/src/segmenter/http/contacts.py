"""/v1/contacts: stored one by one, in batches, from a stream; read; erased."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.contact_store import NewContact
from segmenter.adapters.erasure import find_receipt
from segmenter.domain.event_days import DAY_MS
from segmenter.domain.numbers import judge, written_as_e164
from segmenter.http.bodies import REF, Locale, Ref, answer, body_of, checked_id, decoded, not_found, written, zones
from segmenter.http.import_lines import ImportReport, LineError, contact_lines
from segmenter.http.parts import Parts

MOST_AT_ONCE: Final = 1000
MOST_ATTRIBUTES: Final = 200
LARGEST_ATTRIBUTES: Final = 16 * 1024
SLICE: Final = 200  # contacts between two chances for other requests
IMPORT_SLICE: Final = 500

_NUMBER = msgspec.Meta(max_length=40)


class ContactBody(Struct, forbid_unknown_fields=True, kw_only=True):
    number: Annotated[str, _NUMBER]
    attributes: dict[str, Any] = {}
    locale: Locale | None = None
    time_zone: str | None = None


class ContactItem(ContactBody, forbid_unknown_fields=True, kw_only=True):
    ref: Ref


class Batch(Struct, forbid_unknown_fields=True):
    contacts: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]


_BODY = msgspec.json.Decoder(ContactBody)
_ITEM = msgspec.json.Decoder(ContactItem)
_BATCH = msgspec.json.Decoder(Batch)


def make_contact_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "contacts:write"))
    may_read = Depends(caller_with(parts.tokens, "contacts:read"))

    @routes.post("/v1/contacts/batch")
    async def batch(request: Request, caller: Caller = may_write) -> Response:
        items = (await body_of(request, _BATCH)).contacts
        results, contacts = await _checked(parts, caller.tenant_id, items)
        await _store(parts, caller.tenant_id, contacts)
        return answer({"results": results})

    @routes.api_route("/v1/contacts/import", methods=["POST", "PUT"])
    async def load(request: Request, caller: Caller = may_write) -> Response:
        return answer(await _import(parts, caller.tenant_id, request))

    @routes.put("/v1/contacts/{ref}")
    async def put(ref: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(ref, "ref", REF)
        contact = _new_contact(parts, caller.tenant_id, ref, await body_of(request, _BODY))
        await _store(parts, caller.tenant_id, [contact])
        return answer(_stored(contact))

    @routes.get("/v1/contacts/{ref}")
    async def get(ref: str, caller: Caller = may_read) -> Response:
        tenant = caller.tenant_id
        async with parts.db.hot(tenant) as connection:
            row = await parts.contacts.find(connection, tenant, ref)
        if row is None:
            raise not_found("contact")
        return answer(_shown(parts, tenant, ref, row))

    @routes.delete("/v1/contacts/{ref}")
    async def erase(ref: str, caller: Caller = may_write) -> Response:
        checked_id(ref, "ref", REF)
        async with parts.db.hot(caller.tenant_id) as connection:
            erased = await parts.erasure.erase(connection, caller.tenant_id, ref, caller.key_id, parts.clock())
        if erased is None:
            raise not_found("contact")
        parts.pump.wake()
        return Response(status_code=204)

    @routes.get("/v1/contacts/{ref}/erasure")
    async def receipt(ref: str, caller: Caller = may_read) -> Response:
        """What the newest erasure of this reference took away, when, and by whose key."""
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_receipt(connection, caller.tenant_id, ref)
        if row is None:
            raise not_found("erasure")
        kept = ["the consent ledger under this reference", "the number's keyed hash on the suppression list"]
        return answer(
            {
                "contact": ref, "erased_at": written(row["at"]), "erased_by": row["erased_by"],
                "erased": msgspec.Raw(row["erased"].encode()), "kept": kept,
            }
        )  # fmt: skip

    @routes.get("/v1/contacts/{ref}/export")
    async def export(ref: str, caller: Caller = may_read) -> Response:
        """All that is held about a person, for whoever asks for theirs (GDPR, articles 15 and 20)."""
        tenant = caller.tenant_id
        async with parts.db.hot(tenant) as connection:
            row = await parts.contacts.find(connection, tenant, ref)
            if row is None:
                raise not_found("contact")
            ledger = await connection.fetch(
                "SELECT purpose, state, source, proof, at, recorded_at FROM consent_ledger WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY at",
                tenant, ref,
            )  # fmt: skip
            days = await connection.fetch(
                "SELECT name, day, currency, count, sum_micros, last_at FROM event_days WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY day, name",
                tenant, ref,
            )  # fmt: skip
            suppressed = await connection.fetchrow(
                "SELECT reason, source, at FROM suppressions WHERE tenant_id = $1 AND contact_id = $2",
                tenant, row["contact_id"],
            )  # fmt: skip
        consents = [
            {**line, "at": written(line["at"]), "recorded_at": written(line["recorded_at"])}
            for line in map(dict, ledger)
        ]
        behaviour = [
            {
                "event": d["name"], "day": written(d["day"] * DAY_MS), "count": d["count"], "last_at": written(d["last_at"]),
                "value": str(d["sum_micros"] / 1_000_000) if d["currency"] else None, "currency": d["currency"] or None,
            }
            for d in days
        ]  # fmt: skip
        told = None if suppressed is None else {**dict(suppressed), "at": written(suppressed["at"])}
        return answer(
            _shown(parts, tenant, ref, row) | {"consents": consents, "behaviour": behaviour, "suppression": told}
        )

    return routes


def _shown(parts: Parts, tenant: str, ref: str, row: Any) -> dict[str, Any]:
    return {
        "ref": ref,
        "number": parts.at_rest.open(tenant, row["contact_id"], row["number"]),
        "number_status": "invalid" if row["number_problem"] else "valid",
        "number_problem": row["number_problem"],
        "country": row["country"],
        "attributes": msgspec.Raw(row["attributes"].encode()),
        "locale": row["locale"],
        "time_zone": row["time_zone"],
        "created_at": written(row["created_at"]),
        "updated_at": written(row["updated_at"]),
    }


async def _checked(
    parts: Parts, tenant: str, items: Sequence[msgspec.Raw]
) -> tuple[list[dict[str, Any]], list[NewContact]]:
    """An answer for each item, and those that can be stored."""
    results: list[dict[str, Any]] = []
    contacts: list[NewContact] = []
    for number, item in enumerate(items):
        within = f"contacts.{number}"
        try:
            body = decoded(item, _ITEM, within)
            contact = _new_contact(parts, tenant, body.ref, body, f"{within}.")
        except ProblemError as problem:
            results.append({"error": problem.body()})
        else:
            contacts.append(contact)
            results.append(_stored(contact))
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return results, contacts


async def _store(parts: Parts, tenant: str, contacts: Sequence[NewContact]) -> None:
    if contacts:
        async with parts.db.hot(tenant) as connection:
            await parts.contacts.store(connection, tenant, contacts, parts.clock())
        parts.pump.wake()


def _new_contact(parts: Parts, tenant: str, ref: str, body: ContactBody, within: str = "") -> NewContact:
    """A contact ready to store. A number that no SMS can reach is kept, and said to be so."""
    given = written_as_e164(body.number)
    if given is None:
        raise field_problem(f"{within}number", "invalid_number", "an international number such as +33 6 12 34 56 78")
    if body.time_zone is not None and body.time_zone not in zones():
        raise field_problem(f"{within}time_zone", "invalid_value", "an IANA name such as Europe/Paris")
    if len(body.attributes) > MOST_ATTRIBUTES:
        raise field_problem(f"{within}attributes", "too_many", f"at most {MOST_ATTRIBUTES} attributes")
    attributes = msgspec.json.encode(body.attributes)
    if len(attributes) > LARGEST_ATTRIBUTES:
        raise field_problem(f"{within}attributes", "too_large", f"at most {LARGEST_ATTRIBUTES // 1024} KiB of JSON")
    facts = judge(given)
    number = parts.number(tenant, facts.number)
    sealed = parts.at_rest.seal(tenant, number.contact_id, facts.number)
    return NewContact(ref, number, facts, sealed, body.locale, body.time_zone, attributes.decode())


def _stored(contact: NewContact) -> dict[str, Any]:
    result: dict[str, Any] = {"ref": contact.ref, "status": "stored", "country": contact.facts.country}
    if contact.facts.problem is not None:
        result["warning"] = {"field": "number", "code": "invalid_number", "detail": contact.facts.problem}
    return result


async def _import(parts: Parts, tenant: str, request: Request) -> ImportReport:
    """Lines are stored in slices as they come; a bad line is reported and the next one is read."""
    report = ImportReport()
    waiting: list[NewContact] = []
    async for line, item in contact_lines(request):
        report.lines += 1
        if isinstance(item, LineError):
            report.refuse(line, item.field, item.detail)
            continue
        try:
            body = decoded(item, _ITEM)
            waiting.append(_new_contact(parts, tenant, body.ref, body))
        except ProblemError as problem:
            field = problem.errors[0]["field"] if problem.errors else "line"
            report.refuse(line, field, problem.errors[0]["detail"] if problem.errors else problem.detail)
        if len(waiting) >= IMPORT_SLICE:
            await _store(parts, tenant, waiting)
            report.stored += len(waiting)
            waiting = []
    await _store(parts, tenant, waiting)
    report.stored += len(waiting)
    return report

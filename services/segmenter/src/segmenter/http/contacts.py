"""/v1/contacts: stored one by one, in batches, from a stream; read; erased."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.contact_store import NewContact
from segmenter.adapters.erasure import find_receipt
from segmenter.domain.event_days import DAY_MS
from segmenter.domain.numbers import judge
from segmenter.http.bodies import REF, Ref, answer, body_of, checked_id, decoded, not_found, written
from segmenter.http.import_contacts import import_contacts, maker_for, store_made
from segmenter.http.new_contact import ContactBody, ContactItem, ContactMaker
from segmenter.http.parts import Parts

MOST_AT_ONCE: Final = 1000
EXPORT_PAGE: Final = 1000
CHANCE: Final = 100  # contacts between two chances for other requests


class Batch(Struct, forbid_unknown_fields=True):
    contacts: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]


class MergeBody(Struct, forbid_unknown_fields=True):
    keep: Ref
    merge: Annotated[list[Ref], msgspec.Meta(min_length=1, max_length=50)]


_MERGE = msgspec.json.Decoder(MergeBody)
_LINE = msgspec.json.Encoder()
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
        maker = await maker_for(parts, caller.tenant_id)
        results, contacts = await _checked(maker, items)
        await store_made(parts, caller.tenant_id, contacts, maker.schema)
        return answer({"results": results})

    @routes.api_route("/v1/contacts/import", methods=["POST", "PUT"])
    async def load(request: Request, caller: Caller = may_write) -> Response:
        return answer(await import_contacts(parts, caller.tenant_id, request))

    @routes.post("/v1/contacts/merge")
    async def merge(request: Request, caller: Caller = may_write) -> Response:
        """One contact of several records of one person. Of what they said the strictest holds."""
        body, tenant = await body_of(request, _MERGE), caller.tenant_id
        if body.keep in body.merge:
            raise field_problem("merge", "mismatch", "does not name the contact to keep")
        async with parts.db.hot(tenant) as connection:
            gone = await parts.contacts.merge(connection, tenant, body.keep, body.merge, caller.key_id, parts.clock())
        if gone is None:
            raise not_found("contact")
        parts.pump.wake()
        return answer({"ref": body.keep, "merged": gone})

    @routes.get("/v1/contacts/duplicates")
    async def duplicates(
        after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100, caller: Caller = may_read
    ) -> Response:
        """Contacts that share a number: candidates for a merge."""
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await connection.fetch(
                "SELECT contact_id, array_agg(ref ORDER BY ref) AS refs FROM contacts WHERE tenant_id = $1 AND contact_id > $2 "
                "GROUP BY contact_id HAVING count(*) > 1 ORDER BY contact_id LIMIT $3",
                caller.tenant_id, after, limit,
            )  # fmt: skip
        found = [{"contact_id": row["contact_id"], "contacts": row["refs"]} for row in rows]
        return answer({"duplicates": found, "next": rows[-1]["contact_id"] if len(rows) == limit else None})

    @routes.get("/v1/contacts")
    async def everyone(caller: Caller = may_read) -> Response:
        """All contacts as NDJSON, in the order of their refs, in the form that the import reads."""
        return StreamingResponse(all_contacts(parts, caller.tenant_id), media_type="application/x-ndjson")

    @routes.put("/v1/contacts/{ref}")
    async def put(ref: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(ref, "ref", REF)
        body = await body_of(request, _BODY)
        maker = await maker_for(parts, caller.tenant_id)
        contact = maker.made(ref, body)
        await store_made(parts, caller.tenant_id, [contact], maker.schema)
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
                "SELECT purpose, state, source, wording, proof, at, recorded_at FROM consent_ledger WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY at",
                tenant, ref,
            )  # fmt: skip
            days = await connection.fetch(
                "SELECT name, day, currency, count, sum_micros, last_at FROM event_days WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY day, name",
                tenant, ref,
            )  # fmt: skip
            campaigns = await connection.fetch(
                "SELECT campaign_id, sent_at, delivered_at, clicked_at FROM campaign_marks WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY sent_at",
                tenant, ref,
            )  # fmt: skip
            lists = await connection.fetch(
                "SELECT list_id FROM list_members WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY list_id",
                tenant,
                ref,
            )
            rfm = await connection.fetchrow(
                "SELECT r, f, m, class FROM rfm WHERE tenant_id = $1 AND contact_ref = $2", tenant, ref
            )
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
            _shown(parts, tenant, ref, row)
            | {
                "consents": consents,
                "behaviour": behaviour,
                "suppression": told,
                "rfm": dict(rfm) if rfm else None,
                "lists": [each["list_id"] for each in lists],
                "campaigns": [
                    {
                        "campaign": c["campaign_id"],
                        **{name: written(c[f"{name}_at"]) for name in ("sent", "delivered", "clicked")},
                    }
                    for c in campaigns
                ],
            }
        )

    return routes


async def all_contacts(parts: Parts, tenant: str) -> AsyncIterator[bytes]:
    """Page by page, each a transaction of its own: a slow reader holds nothing open in the database."""
    after = ""
    while True:
        async with parts.db.hot(tenant) as connection:
            rows = await connection.fetch(
                "SELECT ref, contact_id, number, attributes, locale, time_zone FROM contacts "
                "WHERE tenant_id = $1 AND ref > $2 ORDER BY ref LIMIT $3",
                tenant, after, EXPORT_PAGE,
            )  # fmt: skip
        if not rows:
            return
        after = rows[-1]["ref"]
        yield b"".join(_LINE.encode(_line(parts, tenant, row)) + b"\n" for row in rows)


def _line(parts: Parts, tenant: str, row: Any) -> dict[str, Any]:
    told = {
        "ref": row["ref"], "number": parts.at_rest.open(tenant, row["contact_id"], row["number"]),
        "attributes": msgspec.Raw(row["attributes"].encode()), "locale": row["locale"], "time_zone": row["time_zone"],
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _shown(parts: Parts, tenant: str, ref: str, row: Any) -> dict[str, Any]:
    number = parts.at_rest.open(tenant, row["contact_id"], row["number"])
    return {
        "ref": ref,
        "number": number,
        "number_status": "invalid" if row["number_problem"] else "valid",
        "number_problem": row["number_problem"],
        "number_type": judge(number).kind,
        "country": row["country"],
        "attributes": msgspec.Raw(row["attributes"].encode()),
        "locale": row["locale"],
        "time_zone": row["time_zone"],
        "zone_in_use": row["time_zone"] or row["number_zone"],
        "created_at": written(row["created_at"]),
        "updated_at": written(row["updated_at"]),
    }


async def _checked(maker: ContactMaker, items: Sequence[msgspec.Raw]) -> tuple[list[dict[str, Any]], list[NewContact]]:
    """An answer for each item, and those that can be stored."""
    results: list[dict[str, Any]] = []
    contacts: list[NewContact] = []
    for number, item in enumerate(items):
        within = f"contacts.{number}"
        try:
            body = decoded(item, _ITEM, within)
            contact = maker.made(body.ref, body, f"{within}.")
        except ProblemError as problem:
            results.append({"error": problem.body()})
        else:
            contacts.append(contact)
            results.append(_stored(contact))
        if number % CHANCE == CHANCE - 1:
            await asyncio.sleep(0)
    return results, contacts


def _stored(contact: NewContact) -> dict[str, Any]:
    facts = contact.facts
    result: dict[str, Any] = {"ref": contact.ref, "status": "stored", "country": facts.country, "type": facts.kind}
    if facts.problem is not None:
        result["warning"] = {"field": "number", "code": "invalid_number", "detail": facts.problem}
    return result

"""/v1/consents: the ledger of who agreed to what, append-only, in force for the very next request."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.consent_proof import consent_at
from segmenter.adapters.consent_store import Entry, stances_of
from segmenter.adapters.opt_outs import OptOut
from segmenter.adapters.rule_store import answer_rules
from segmenter.http.bodies import Name, Ref, Words, answer, body_of, decoded, millis, not_found, written
from segmenter.http.parts import Parts

MOST_AT_ONCE: Final = 1000
MOST_LISTED: Final = 1000
CLOCK_SKEW_MS: Final = 300_000  # a caller's clock may be this far ahead
EARLIEST_MS: Final = 0

# A brand's marketing is a purpose of its own: `marketing:kids`. What is said of `marketing` is said of every brand.
Purpose = Annotated[str, msgspec.Meta(pattern=r"^(marketing(:[a-z0-9][a-z0-9_\-]{0,39})?|transactional|otp)$")]


class ConsentBody(Struct, forbid_unknown_fields=True):
    contact: Ref
    purpose: Purpose
    state: Literal["granted", "withdrawn"]
    source: Name
    proof: Words | None = None
    wording: Words | None = None
    at: datetime | None = None


class Batch(Struct, forbid_unknown_fields=True):
    consents: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]


class OptOutBatch(Struct):
    opt_outs: Annotated[list[OptOut], msgspec.Meta(max_length=5000)]


class ProofAsked(Struct):
    """`at`: when the message was prepared, milliseconds UTC."""

    tenant_id: str
    contact_id: str
    purpose: str
    at: int
    contact_ref: str | None = None
    sender: str | None = None


_PROOF = msgspec.json.Decoder(ProofAsked)
_BODY = msgspec.json.Decoder(ConsentBody)
_BATCH = msgspec.json.Decoder(Batch)
_OPT_OUTS = msgspec.json.Decoder(OptOutBatch)


def make_consent_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "contacts:write"))
    may_read = Depends(caller_with(parts.tokens, "contacts:read"))
    internal = Depends(caller_with(parts.tokens, "internal"))

    @routes.post("/v1/consents")
    async def post(request: Request, caller: Caller = may_write) -> Response:
        entry = _entry(await body_of(request, _BODY), caller, parts.clock())
        await _record(parts, caller.tenant_id, [entry])
        return answer({"contact": entry.ref, "status": "recorded", "entry": entry.entry_id}, 201)

    @routes.post("/v1/consents/batch")
    async def batch(request: Request, caller: Caller = may_write) -> Response:
        now = parts.clock()
        results: list[dict[str, Any]] = []
        entries: list[Entry] = []
        for number, item in enumerate((await body_of(request, _BATCH)).consents):
            within = f"consents.{number}"
            try:
                entry = _entry(decoded(item, _BODY, within), caller, now, f"{within}.")
            except ProblemError as problem:
                results.append({"error": problem.body()})
            else:
                entries.append(entry)
                results.append({"contact": entry.ref, "status": "recorded", "entry": entry.entry_id})
        await _record(parts, caller.tenant_id, entries)
        return answer({"results": results})

    @routes.get("/v1/contacts/{ref}/consents")
    async def ledger(ref: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            state = await connection.fetchrow(
                "SELECT version, purposes, contact_id FROM consent_state WHERE tenant_id = $1 AND contact_ref = $2",
                caller.tenant_id, ref,
            )  # fmt: skip
            if state is None:
                raise not_found("contact")
            lines = await connection.fetch(
                "SELECT entry_id, purpose, state, source, wording, proof, at, recorded_at, recorded_by FROM consent_ledger "
                "WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY at DESC, recorded_at DESC LIMIT $3",
                caller.tenant_id, ref, MOST_LISTED,
            )  # fmt: skip
            suppressed = await connection.fetchval(
                "SELECT true FROM suppressions WHERE tenant_id = $1 AND contact_id = $2",
                caller.tenant_id,
                state["contact_id"],
            )
        now_holds = {
            purpose: {"state": stance.state, "at": written(stance.at), "source": stance.source}
            for purpose, stance in stances_of(state["purposes"]).items()
        }
        told = [
            {**line, "at": written(line["at"]), "recorded_at": written(line["recorded_at"])}
            for line in map(dict, lines)
        ]
        return answer(
            {
                "contact": ref,
                "version": state["version"],
                "purposes": now_holds,
                "suppressed": bool(suppressed),
                "ledger": told,
            }
        )

    @routes.post("/internal/v1/consent-proof")
    async def proof(request: Request, caller: Caller = internal) -> Response:
        """What the ledger knew of a message's person when the message was prepared; asked by who keeps messages."""
        asked = await body_of(request, _PROOF)
        async with parts.db.hot(asked.tenant_id) as connection:
            told = await consent_at(
                connection, asked.tenant_id, asked.contact_ref, asked.contact_id, asked.purpose, asked.sender, asked.at
            )
        for line in told.get("ledger", ()):
            line |= {"at": written(line["at"]), "recorded_at": written(line["recorded_at"])}
        return answer(told)

    @routes.post("/internal/v1/opt-outs")
    async def opt_outs(request: Request, caller: Caller = internal) -> Response:
        heard = (await body_of(request, _OPT_OUTS)).opt_outs
        tenants = sorted({o.tenant_id for o in heard})
        if tenants:
            now = parts.clock()
            await parts.notices.ready(tenants, now)
            facts = {
                tenant: await parts.opt_outs.facts(SYSTEM_TENANT, [o for o in heard if o.tenant_id == tenant])
                for tenant in tenants
            }
            async with parts.db.hot([*tenants, SYSTEM_TENANT]) as connection:
                rules = await answer_rules(connection)
                for tenant in tenants:
                    mine = [o for o in heard if o.tenant_id == tenant]
                    await parts.opt_outs.apply(connection, tenant, mine, rules, facts[tenant], now)
            parts.pump.wake()
        return Response(status_code=204)

    return routes


async def _record(parts: Parts, tenant: str, entries: Sequence[Entry]) -> None:
    if entries:
        async with parts.db.hot(tenant) as connection:
            await parts.consents.record(connection, tenant, entries, parts.clock())
        parts.pump.wake()


def _entry(body: ConsentBody, caller: Caller, now: int, within: str = "") -> Entry:
    """A line of the ledger. What is said with its time (`at`) a second time is the same line."""
    at = now
    if body.at is not None:
        if body.at.tzinfo is None:
            raise field_problem(f"{within}at", "no_zone", "a time with its zone, such as 2026-05-01T10:00:00Z")
        at = millis(body.at)
        if not EARLIEST_MS <= at <= now + CLOCK_SKEW_MS:
            raise field_problem(f"{within}at", "out_of_range", "a time between 1970 and now")
    said = "\x1f".join(
        (caller.tenant_id, body.contact, body.purpose, body.state, body.source, body.proof or "", str(at))
    )
    entry_id = blake2b(said.encode(), digest_size=16).hexdigest()
    return Entry(
        entry_id, body.contact, body.purpose, body.state, body.source, body.proof, at, caller.key_id, body.wording
    )

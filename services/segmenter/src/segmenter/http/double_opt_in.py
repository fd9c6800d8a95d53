"""/v1/consents/double-opt-in: a person is asked by SMS to confirm, by a word or a code."""

import secrets
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.db.outbox import put
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from segmenter.adapters.consent_store import suppressed
from segmenter.adapters.double_opt_ins import Asked, ask, confirmed, end, find, try_code, waiting_for
from segmenter.adapters.notices import Addressee
from segmenter.domain.double_opt_in import Method, asking_text, code_hash, new_code
from segmenter.domain.numbers import judge
from segmenter.domain.prepare import Drop
from segmenter.http.bodies import Name, Ref, Words, answer, body_of, not_found, written
from segmenter.http.parts import Parts


class AskBody(Struct, forbid_unknown_fields=True):
    """`source` and `proof`: where the person first said yes. `text`: the caller's own words, with `{code}` for a code."""

    contact: Ref
    source: Name
    proof: Words = ""
    purpose: Annotated[str, msgspec.Meta(pattern=r"^marketing(:[a-z0-9][a-z0-9_\-]{0,39})?$")] = "marketing"
    method: Method = "keyword"
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=600, pattern=r"^[^\x00]*$")] | None = None
    sender: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] | None = None


class CodeBody(Struct, forbid_unknown_fields=True):
    code: Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$")]


_ASK = msgspec.json.Decoder(AskBody)
_CODE = msgspec.json.Decoder(CodeBody)


def make_double_opt_in_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "contacts:write"))
    may_read = Depends(caller_with(parts.tokens, "contacts:read"))

    @routes.post("/v1/consents/double-opt-in")
    async def start(request: Request, caller: Caller = may_write) -> Response:
        body, tenant, now = await body_of(request, _ASK), caller.tenant_id, parts.clock()
        if body.method == "code" and body.text is not None and "{code}" not in body.text:
            raise field_problem("text", "no_code", "has `{code}` where the code belongs")
        await parts.notices.ready([tenant], now)
        async with parts.db.hot(tenant) as connection:
            row = await parts.contacts.find(connection, tenant, body.contact)
            if row is None:
                raise not_found("contact")
            if row["number_problem"] is not None:
                raise field_problem("contact", "invalid_number", row["number_problem"])
            await parts.consents.lock(connection, tenant, [body.contact], now)  # two requests at once take turns
            if await suppressed(connection, tenant, [row["contact_id"]]):
                raise field_problem("contact", "suppressed", "the number is on a suppression list", 409)
            waits = await waiting_for(connection, tenant, body.contact, body.purpose, now)
            if waits is not None:
                raise ProblemError(
                    409,
                    "already_asked",
                    f"request {waits['id']} waits for an answer until {written(waits['expires_at'])}",
                )
            opt_in, code = secrets.token_hex(12), new_code() if body.method == "code" else None
            facts = judge(parts.at_rest.open(tenant, row["contact_id"], row["number"]))
            to = Addressee(row["contact_id"], row["number_hash"], facts, body.contact, row["locale"])
            text = asking_text(body.method, row["locale"], body.text, code)
            told = parts.notices.record(
                tenant, to, text, body.sender, "double opt-in@1", now, now, "double opt-in", opt_in
            )
            if isinstance(told, Drop):
                raise field_problem("text", told.reason, told.detail or "cannot be sent")
            shown = asking_text(
                body.method, row["locale"], body.text, "******" if code else None
            )  # the code is nobody's proof
            hashed = code_hash(parts.master, opt_in, code) if code is not None else None
            asked = Asked(
                opt_in,
                body.contact,
                row["contact_id"],
                body.purpose,
                body.method,
                hashed,
                body.source,
                body.proof,
                told[0],
                shown,
            )
            expires = await ask(connection, tenant, asked, now)
            await put(connection, [told[1]])
        parts.pump.wake()
        return answer({"id": opt_in, "state": "pending", "message_id": told[0], "expires_at": written(expires)}, 202)

    @routes.get("/v1/consents/double-opt-in/{opt_in}")
    async def get(opt_in: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find(connection, caller.tenant_id, opt_in)
        if row is None:
            raise not_found("double opt-in")
        return answer(_shown(row, parts.clock()))

    @routes.post("/v1/consents/double-opt-in/{opt_in}/confirm")
    async def confirm(opt_in: str, request: Request, caller: Caller = may_write) -> Response:
        body, tenant, now = await body_of(request, _CODE), caller.tenant_id, parts.clock()
        async with parts.db.hot(tenant) as connection:
            row = await find(connection, tenant, opt_in)
            if row is None:
                raise not_found("double opt-in")
            await parts.consents.lock(
                connection, tenant, [row["contact_ref"]], now
            )  # people first: one order everywhere
            row = await find(connection, tenant, opt_in, lock=True)
            trouble = await try_code(connection, tenant, row, code_hash(parts.master, opt_in, body.code), now)
            if trouble is None:
                await end(connection, tenant, [row], "confirmed", now)
                await parts.consents.record(connection, tenant, [confirmed(row, "its code", now, caller.key_id)], now)
        if trouble is not None:
            raise field_problem("code", "refused", trouble)
        parts.pump.wake()
        return answer({"id": opt_in, "state": "confirmed"})

    return routes


def _shown(row: Any, now: int) -> dict[str, Any]:
    state = "expired" if row["state"] == "pending" and row["expires_at"] <= now else row["state"]
    return {
        "id": row["id"], "contact": row["contact_ref"], "purpose": row["purpose"], "method": row["method"], "state": state,
        "message_id": row["message_id"], "created_at": written(row["created_at"]), "expires_at": written(row["expires_at"]),
        "ended_at": written(row["ended_at"]),
    }  # fmt: skip

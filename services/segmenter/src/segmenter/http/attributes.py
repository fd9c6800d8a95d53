"""/v1/attributes: the kinds of values that a tenant's contacts hold, learnt or pinned."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with

from segmenter.adapters.attribute_store import RULE, load_schema, pin
from segmenter.adapters.rule_store import find_rule, store_rule
from segmenter.domain.attributes import MOST_NAMES
from segmenter.http.bodies import answer, body_of, written
from segmenter.http.parts import Parts

_Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_Pinned = Literal["text", "number", "boolean", "date", "list", "point", "object"]


class SchemaBody(Struct, forbid_unknown_fields=True):
    """`attributes`: kinds to pin; null lets one be learnt again. `closed`: contacts with other attributes are refused."""

    attributes: Annotated[dict[_Name, _Pinned | None], Meta(max_length=MOST_NAMES)] = {}
    closed: bool | None = None


_BODY = msgspec.json.Decoder(SchemaBody)


def make_attribute_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "contacts:write"))
    may_read = Depends(caller_with(parts.tokens, "contacts:read"))

    async def shown(tenant: str) -> Response:
        async with parts.db.hot(tenant) as connection:
            rows = await connection.fetch(
                "SELECT name, kind, pinned, updated_at FROM attribute_kinds WHERE tenant_id = $1 ORDER BY name", tenant
            )
            closed = (await load_schema(connection, tenant)).closed
        found = {
            r["name"]: {"kind": r["kind"], "pinned": r["pinned"], "updated_at": written(r["updated_at"])} for r in rows
        }
        return answer({"closed": closed, "attributes": found})

    @routes.get("/v1/attributes")
    async def get(caller: Caller = may_read) -> Response:
        return await shown(caller.tenant_id)

    @routes.put("/v1/attributes")
    async def put(request: Request, caller: Caller = may_write) -> Response:
        """Pins kinds. Contacts that are stored already stay as they are; the next ones must fit."""
        body, now = await body_of(request, _BODY), parts.clock()
        async with parts.db.hot(caller.tenant_id) as connection:
            await pin(connection, caller.tenant_id, body.attributes, now)
            if body.closed is not None:
                rule = await find_rule(connection, caller.tenant_id, RULE)
                if rule is not None or body.closed:
                    await store_rule(connection, caller.tenant_id, RULE, {"closed": body.closed}, caller.key_id, now)
        return await shown(caller.tenant_id)

    return routes

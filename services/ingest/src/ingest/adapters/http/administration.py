"""/v1/keys and /v1/tenants: a tenant's own administration, and new tenants by operators."""

import secrets
import string
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from shared.http.problems import ProblemError

from ingest.adapters.http import documents as docs
from ingest.adapters.http.door import Door
from ingest.adapters.http.raw import RawRoute, answer, body_of, refused
from ingest.adapters.key_store import KeyStore, NewKey
from ingest.domain.api_key import CUSTOMER_SCOPES, StoredKey, digest_of, scope_faults, tenant_faults
from ingest.domain.faults import INTEGER, STRING, Fault, Shape, shape_faults
from ingest.domain.message_request import label_faults, moment_of

BODY_BYTES = 16 * 1024
NAME_CHARACTERS = 100
MOST_PER_S = 1_000_000
_ID_ALPHABET = string.ascii_lowercase + string.digits
_KEY_SHAPES = {
    "name": STRING._replace(required=True), "scopes": Shape((list,), "must be an array of scopes", required=True),
    "expires_at": STRING, "messages_per_s": INTEGER,
}  # fmt: skip
_TENANT_SHAPES = {"name": STRING, "messages_per_s": INTEGER}


def new_key(name: str, scopes: tuple[str, ...], created_by: str, **more: int | None) -> tuple[NewKey, str]:
    """A key to store, and what its holder gets."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    stored = NewKey(
        key_id, digest_of(secret), name, scopes, more.get("expires_at"), more.get("messages_per_s"), created_by
    )
    return stored, f"rk_{key_id}_{secret}"


def make_routes(door: Door, store: KeyStore) -> APIRouter:
    router = APIRouter(route_class=RawRoute)

    async def admin(request: Request) -> tuple[StoredKey, dict[str, str]]:
        stored = await door.caller(request, "admin")
        return stored, door.within_limits(stored, 1)

    @router.post("/v1/keys", **docs.MAKE_KEY)
    async def make_key(request: Request) -> Response:
        asking, headers = await admin(request)
        asked = await _object_of(request, _KEY_SHAPES)
        now = door.clock()
        faults = _name_faults(asked) + _limit_faults(asked)
        scopes = asked["scopes"]
        if not all(isinstance(scope, str) for scope in scopes):
            faults.append(Fault("scopes", "wrong_type", "must be an array of strings"))
        else:
            faults += scope_faults(scopes, asking.caller)
        expires_at = None
        if asked.get("expires_at") is not None:
            expires_at = moment_of(asked["expires_at"])
            if expires_at is None:
                faults.append(Fault("expires_at", "not_rfc3339", "must be a date and time of RFC 3339 with its offset"))
            elif expires_at <= now:
                faults.append(Fault("expires_at", "past", "must lie in the future"))
        if faults:
            raise refused(faults)
        made, written = new_key(
            asked["name"], tuple(dict.fromkeys(scopes)), asking.caller.key_id,
            expires_at=expires_at, messages_per_s=asked.get("messages_per_s"),
        )  # fmt: skip
        await store.make_key(asking.caller.tenant_id, made, now)
        shown = {
            "id": made.key_id, "key": written, "name": made.name, "scopes": made.scopes, "messages_per_s": made.messages_per_s,
            "created_at": _written(now), "created_by": made.created_by, "expires_at": _written(expires_at), "revoked_at": None,
        }  # fmt: skip
        return answer(shown, 201, {**headers, "Cache-Control": "no-store"})

    @router.get("/v1/keys", **docs.LIST_KEYS)
    async def list_keys(request: Request) -> Response:
        asking, headers = await admin(request)
        found = await store.keys_of(asking.caller.tenant_id)
        return answer({"keys": [_key_shown(row) for row in found]}, headers=headers)

    @router.delete("/v1/keys/{key_id}", **docs.REVOKE_KEY)
    async def revoke_key(request: Request) -> Response:
        asking, headers = await admin(request)
        key_id = request.path_params["key_id"]
        if not await store.revoke(asking.caller.tenant_id, key_id, door.clock()):
            raise ProblemError(404, "not_found", "this tenant has no such key")
        door.authenticator.forget(key_id)
        return Response(status_code=204, headers=headers)

    @router.get("/v1/tenants", **docs.LIST_TENANTS)
    async def list_tenants(request: Request) -> Response:
        asking, headers = await admin(request)
        row = await store.tenant(asking.caller.tenant_id)
        return answer({"tenants": [_tenant_shown(row)] if row else []}, headers=headers)

    @router.get("/v1/tenants/{tenant_id}", **docs.GET_TENANT)
    async def get_tenant(request: Request) -> Response:
        asking, headers = await admin(request)
        own = request.path_params["tenant_id"] == asking.caller.tenant_id
        row = await store.tenant(asking.caller.tenant_id) if own else None
        if row is None:
            raise ProblemError(404, "not_found", "this key sees no such tenant")
        return answer(_tenant_shown(row), headers=headers)

    @router.put("/v1/tenants/{tenant_id}", **docs.PUT_TENANT)
    async def put_tenant(request: Request) -> Response:
        asking, headers = await admin(request)
        tenant_id = request.path_params["tenant_id"]
        own = tenant_id == asking.caller.tenant_id
        if not own and not asking.caller.may("operate"):
            raise ProblemError(403, "forbidden", "the key lacks the scope operate, which new tenants need")
        asked = await _object_of(request, _TENANT_SHAPES)
        faults = tenant_faults(tenant_id) + _name_faults(asked) + _limit_faults(asked)
        if faults:
            raise refused(faults)
        if "messages_per_s" in asked and not asking.caller.may("operate"):
            raise ProblemError(403, "forbidden", "the key lacks the scope operate, which limits need")
        if own:
            return await change(tenant_id, asked, headers)
        return await make(tenant_id, asked, asking, headers)

    async def change(tenant_id: str, asked: dict[str, Any], headers: dict[str, str]) -> Response:
        if asked:
            await store.change_tenant(tenant_id, asked)
            door.authenticator.forget_all()
        row = await store.tenant(tenant_id)
        if row is None:
            raise ProblemError(404, "not_found", "this key sees no such tenant")
        return answer(_tenant_shown(row), headers=headers)

    async def make(tenant_id: str, asked: dict[str, Any], asking: StoredKey, headers: dict[str, str]) -> Response:
        now = door.clock()
        first, written = new_key("first key", CUSTOMER_SCOPES, asking.caller.key_id)
        name, per_s = asked.get("name") or tenant_id, asked.get("messages_per_s")
        if not await store.make_tenant(tenant_id, name, per_s, first, now):
            raise ProblemError(409, "taken", "tenant_id: there is such a tenant already")
        row = {"tenant_id": tenant_id, "name": name, "messages_per_s": per_s, "created_at": now}
        return answer({**_tenant_shown(row), "key": written}, 201, {**headers, "Cache-Control": "no-store"})

    return router


async def _object_of(request: Request, shapes: dict[str, Shape]) -> dict[str, Any]:
    """The body as an object of these fields, nulls left out. ProblemError otherwise."""
    try:
        value = msgspec.json.decode(await body_of(request, BODY_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused([Fault("body", "malformed_json", "is not valid JSON in UTF-8")]) from error
    faults = shape_faults(value, shapes)
    if faults:
        raise refused(faults)
    return {name: found for name, found in value.items() if found is not None}


def _name_faults(asked: dict[str, Any]) -> list[Fault]:
    return label_faults("name", asked["name"], NAME_CHARACTERS) if "name" in asked else []


def _limit_faults(asked: dict[str, Any]) -> list[Fault]:
    if not 1 <= asked.get("messages_per_s", 1) <= MOST_PER_S:
        return [Fault("messages_per_s", "out_of_range", f"must be from 1 to {MOST_PER_S}")]
    return []


def _written(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key_shown(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: _written(row[name]) for name in ("created_at", "expires_at", "revoked_at")}
    return {"id": row["key_id"], **{k: v for k, v in row.items() if k != "key_id"}, **times}


def _tenant_shown(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "created_at": _written(row["created_at"])}

"""/v1/lists: contacts put together by hand, and snapshots of segments, so that an audience can be had again."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError

from segmenter.adapters.audience import over_everybody
from segmenter.adapters.catalog import find_segment, load_segments
from segmenter.adapters.list_store import change_members, find_list, put_list, take_snapshot
from segmenter.http.bodies import Id, Name, Ref, answer, body_of, checked_id, not_found, written
from segmenter.http.parts import Parts
from segmenter.http.segments import condition_of

_Refs = Annotated[list[Ref], Meta(max_length=10_000)]


class ListBody(Struct, forbid_unknown_fields=True):
    name: Name


class MembersBody(Struct, forbid_unknown_fields=True):
    add: _Refs = []
    remove: _Refs = []


class SnapshotBody(Struct, forbid_unknown_fields=True):
    """`list`: the id of the list that keeps the snapshot."""

    list: Id


_LIST = msgspec.json.Decoder(ListBody)
_MEMBERS = msgspec.json.Decoder(MembersBody)
_SNAPSHOT = msgspec.json.Decoder(SnapshotBody)


def make_list_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.put("/v1/lists/{list_id}")
    async def put(list_id: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(list_id, "id")
        body = await body_of(request, _LIST)
        async with parts.db.hot(caller.tenant_id) as connection:
            await put_list(connection, caller.tenant_id, list_id, body.name, parts.clock())
            row = await find_list(connection, caller.tenant_id, list_id)
        return answer(_shown(row))

    @routes.get("/v1/lists/{list_id}")
    async def get(list_id: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_list(connection, caller.tenant_id, list_id)
        if row is None:
            raise not_found("list")
        return answer(_shown(row))

    @routes.get("/v1/lists/{list_id}/members")
    async def members(
        list_id: str, after: str = "", limit: Annotated[int, Query(ge=1, le=10_000)] = 1000, caller: Caller = may_read
    ) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            if await find_list(connection, caller.tenant_id, list_id) is None:
                raise not_found("list")
            rows = await connection.fetch(
                "SELECT contact_ref FROM list_members WHERE tenant_id = $1 AND list_id = $2 AND contact_ref > $3 ORDER BY contact_ref LIMIT $4",
                caller.tenant_id, list_id, after, limit,
            )  # fmt: skip
        refs = [row[0] for row in rows]
        return answer({"members": refs, "next": refs[-1] if len(refs) == limit else None})

    @routes.post("/v1/lists/{list_id}/members")
    async def change(list_id: str, request: Request, caller: Caller = may_write) -> Response:
        body = await body_of(request, _MEMBERS)
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_list(connection, caller.tenant_id, list_id)
            if row is None:
                raise not_found("list")
            if row["segment"] is not None:
                raise ProblemError(409, "snapshot", "a snapshot is never changed: make a list, or another snapshot")
            size = await change_members(connection, caller.tenant_id, list_id, body.add, body.remove, parts.clock())
        return answer({"id": list_id, "size": size})

    @routes.post("/v1/segments/{segment_id}/snapshot")
    async def snapshot(segment_id: str, request: Request, caller: Caller = may_write) -> Response:
        """Keeps who is in the segment now. `list(id)` in a filter then means these people, whatever becomes of them."""
        body = await body_of(request, _SNAPSHOT)
        tenant, now = caller.tenant_id, parts.clock()
        async with parts.db.hot(tenant) as connection:
            segment = await find_segment(connection, tenant, segment_id)
            if segment is None:
                raise not_found("segment")
            tree = msgspec.json.decode(segment["filter"])
            condition = condition_of(tree, now, first=3, segments=await load_segments(connection, tenant, tree))
            await over_everybody(connection)
            size = await take_snapshot(connection, tenant, body.list, segment, condition, now)
        if size is None:
            raise ProblemError(409, "taken", "there is such a list already")
        return answer(
            {"list": body.list, "segment": segment_id, "segment_version": segment["version"], "size": size}, 201
        )

    return routes


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "size": row["size"], "segment": row["segment"], "segment_version": row["segment_version"],
        "made_at": written(row["made_at"]), "updated_at": written(row["updated_at"]),
    }  # fmt: skip

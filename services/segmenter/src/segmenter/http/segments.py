"""/v1/segments: filter trees, and how many people they find."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError

from segmenter.adapters.audience import size_and_samples
from segmenter.adapters.catalog import find_segment, list_segments, store_segment
from segmenter.domain.compile_filter import Condition, FilterError, compile_filter
from segmenter.http.bodies import Name, answer, body_of, checked_id, not_found, written
from segmenter.http.parts import Parts


class SegmentBody(Struct, forbid_unknown_fields=True):
    name: Name
    filter: Any


_BODY = msgspec.json.Decoder(SegmentBody)


def make_segment_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.get("/v1/segments")
    async def listed(
        after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100, caller: Caller = may_read
    ) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await list_segments(connection, caller.tenant_id, after, limit)
        found = [
            {"id": r["id"], "name": r["name"], "version": r["version"], "updated_at": written(r["updated_at"])}
            for r in rows
        ]  # fmt: skip
        return answer({"segments": found, "next": rows[-1]["id"] if len(rows) == limit else None})

    @routes.put("/v1/segments/{segment_id}")
    async def put(segment_id: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(segment_id, "id")
        body, now = await body_of(request, _BODY), parts.clock()
        condition_of(body.filter, now, first=2)
        tree = msgspec.json.encode(body.filter).decode()
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await store_segment(connection, caller.tenant_id, segment_id, body.name, tree, now)
        return answer({"id": segment_id, "name": body.name, "filter": body.filter, "version": version})

    @routes.get("/v1/segments/{segment_id}")
    async def get(segment_id: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_segment(connection, caller.tenant_id, segment_id)
        if row is None:
            raise not_found("segment")
        return answer(
            {
                "id": segment_id, "name": row["name"], "filter": msgspec.Raw(row["filter"].encode()), "version": row["version"],
                "updated_at": written(row["updated_at"]),
            }
        )  # fmt: skip

    @routes.post("/v1/segments/{segment_id}/preview")
    async def preview(segment_id: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_segment(connection, caller.tenant_id, segment_id)
            if row is None:
                raise not_found("segment")
            condition = condition_of(msgspec.json.decode(row["filter"]), parts.clock(), first=2)
            size, samples = await size_and_samples(connection, caller.tenant_id, condition)
        return answer({"id": segment_id, "version": row["version"], "size": size, "samples": samples})

    return routes


def condition_of(tree: Any, now: int, *, first: int) -> Condition:
    """The filter's SQL; 422 with every trouble as a field."""
    try:
        return compile_filter(tree, now, first=first)
    except FilterError as error:
        raise filter_problem(error) from None


def filter_problem(error: FilterError) -> ProblemError:
    fields = [{"field": t.path, "code": t.code, "detail": t.detail} for t in error.troubles]
    return ProblemError(422, "invalid_filter", f"{fields[0]['field']}: {fields[0]['detail']}", errors=fields)

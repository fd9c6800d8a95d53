"""/v1/segments: filters as trees or as texts, and how many people they find."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError

from segmenter.adapters.attribute_store import load_schema
from segmenter.adapters.audience import estimated_size, over_everybody, samples, size_and_effects
from segmenter.adapters.catalog import find_segment, list_segments, load_segments, store_segment
from segmenter.domain.attributes import Kind
from segmenter.domain.compile_filter import Condition, FilterError, compile_filter
from segmenter.domain.filter_text import FilterTextError, parsed, written
from segmenter.http.bodies import Name, answer, body_of, checked_id, not_found
from segmenter.http.bodies import written as moment
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
            {"id": r["id"], "name": r["name"], "version": r["version"], "updated_at": moment(r["updated_at"])}
            for r in rows
        ]  # fmt: skip
        return answer({"segments": found, "next": rows[-1]["id"] if len(rows) == limit else None})

    @routes.put("/v1/segments/{segment_id}")
    async def put(segment_id: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(segment_id, "id")
        body, now = await body_of(request, _BODY), parts.clock()
        asked = tree_of(body.filter)
        tree = msgspec.json.encode(asked).decode()
        async with parts.db.hot(caller.tenant_id) as connection:
            others = await load_segments(connection, caller.tenant_id, asked)
            kinds = (await load_schema(connection, caller.tenant_id)).kinds
            condition_of(asked, now, segments={**others, segment_id: asked}, name=segment_id, attributes=kinds)
            version = await store_segment(connection, caller.tenant_id, segment_id, body.name, tree, now)
        return answer(
            {"id": segment_id, "name": body.name, "filter": asked, "text": written(asked), "version": version}
        )

    @routes.get("/v1/segments/{segment_id}")
    async def get(segment_id: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_segment(connection, caller.tenant_id, segment_id)
        if row is None:
            raise not_found("segment")
        return answer(
            {
                "id": segment_id, "name": row["name"], "filter": msgspec.Raw(row["filter"].encode()), "version": row["version"],
                "text": written(msgspec.json.decode(row["filter"])),
                "updated_at": moment(row["updated_at"]),
            }
        )  # fmt: skip

    @routes.post("/v1/segments/{segment_id}/preview")
    async def preview(segment_id: str, fast: bool = False, caller: Caller = may_read) -> Response:
        """The exact size with each condition's effect; with `fast` an estimate with its interval."""
        tenant, now = caller.tenant_id, parts.clock()
        async with parts.db.hot(tenant) as connection:
            row = await find_segment(connection, tenant, segment_id)
            if row is None:
                raise not_found("segment")
            tree = msgspec.json.decode(row["filter"])
            others = await load_segments(connection, tenant, tree)
            told: dict[str, Any] = {"id": segment_id, "version": row["version"]}
            if fast:
                condition = condition_of(tree, now, segments=others, few=True)
                found = await estimated_size(connection, tenant, condition)
                return answer(told | {"estimate": found.size, "low": found.low, "high": found.high, "confidence": 0.95})
            await over_everybody(connection)
            conditions: list[tuple[str, Condition]] = []
            upto = 2
            for item in tree.get("all", [tree]):
                condition = condition_of(item, now, first=upto, segments=others)
                conditions.append((written(item), condition))
                upto += len(condition.params)
            size, effects = await size_and_effects(connection, tenant, conditions)
            shown = await samples(connection, tenant, condition_of(tree, now, segments=others))
        return answer(told | {"size": size, "conditions": effects, "samples": shown})

    return routes


def tree_of(given: Any) -> Any:
    """The tree of a filter that is given as a tree or as a text. 422 with the column of what cannot be read."""
    if not isinstance(given, str):
        return given
    try:
        return parsed(given)
    except FilterTextError as error:
        field = {"field": "filter", "code": "invalid_filter", "detail": str(error), "column": error.column}
        raise ProblemError(422, "invalid_filter", f"filter: {error}", errors=[field]) from None


def condition_of(
    tree: Any,
    now: int,
    *,
    first: int = 2,
    segments: Mapping[str, Any] | None = None,
    few: bool = False,
    name: str = "",
    attributes: Mapping[str, Kind] | None = None,
) -> Condition:
    """The filter's SQL; 422 with every trouble as a field."""
    try:
        return compile_filter(tree, now, first=first, segments=segments, few=few, name=name, attributes=attributes)
    except FilterError as error:
        raise filter_problem(error) from None


def filter_problem(error: FilterError) -> ProblemError:
    fields = [{"field": t.path, "code": t.code, "detail": t.detail} for t in error.troubles]
    return ProblemError(422, "invalid_filter", f"{fields[0]['field']}: {fields[0]['detail']}", errors=fields)

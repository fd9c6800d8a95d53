"""/v1/coupons and /v1/feeds: what templates draw on beside a person's own attributes."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with

from segmenter.http.bodies import answer, body_of, checked_id, not_found
from segmenter.http.parts import Parts

Code = Annotated[str, Meta(min_length=3, max_length=64, pattern=r"^[!-~]+$")]  # printable ASCII without spaces
NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"  # as a template can write it: `coupon.spring`


class CodesBody(Struct, forbid_unknown_fields=True):
    codes: Annotated[list[Code], Meta(min_length=1, max_length=50_000)]


class FeedBody(Struct, forbid_unknown_fields=True):
    """`items` by key; each with any values."""

    items: Annotated[dict[Annotated[str, Meta(max_length=128)], dict[str, Any]], Meta(max_length=20_000)]


_CODES = msgspec.json.Decoder(CodesBody)
_FEED = msgspec.json.Decoder(FeedBody)


def make_coupon_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.post("/v1/coupons/{pool}")
    async def add(pool: str, request: Request, caller: Caller = may_write) -> Response:
        """Adds codes to a pool; those that it has already are left out."""
        checked_id(pool, "pool", NAME)
        body = await body_of(request, _CODES)
        async with parts.db.hot(caller.tenant_id) as connection:
            added = await parts.coupons.add(connection, caller.tenant_id, pool, body.codes)
            codes, used = await parts.coupons.counts(connection, caller.tenant_id, pool)
        return answer({"pool": pool, "added": added, "codes": codes, "used": used, "left": codes - used})

    @routes.get("/v1/coupons/{pool}")
    async def counted(pool: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            codes, used = await parts.coupons.counts(connection, caller.tenant_id, pool)
        if not codes:
            raise not_found("coupon pool")
        return answer({"pool": pool, "codes": codes, "used": used, "left": codes - used})

    @routes.put("/v1/feeds/{feed}")
    async def put_feed(feed: str, request: Request, caller: Caller = may_write) -> Response:
        """The whole feed, in place of the one before."""
        checked_id(feed, "feed", NAME)
        body = await body_of(request, _FEED)
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await parts.feeds.put(connection, caller.tenant_id, feed, body.items, parts.clock())
        return answer({"id": feed, "version": version, "items": len(body.items)})

    @routes.get("/v1/feeds/{feed}")
    async def get_feed(feed: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            found = await parts.feeds.current(connection, caller.tenant_id, [feed])
        if feed not in found:
            raise not_found("feed")
        return answer({"id": feed, "items": found[feed]})

    return routes

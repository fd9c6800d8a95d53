"""POST /v1/messages, /v1/messages/batch and /v1/events/batch: the hot road."""

from typing import Any

from fastapi import APIRouter, Request, Response

from ingest.adapters.http import documents as docs
from ingest.adapters.http.door import Door, taken
from ingest.adapters.http.raw import RawRoute, body_of, items_of, refused
from ingest.domain.event_request import check_event
from ingest.domain.message_request import check_message
from ingest.handlers import Intake

BATCH_ITEMS = 1_000
SINGLE_BYTES = 64 * 1024  # the longest text and variables, every character escaped
BATCH_BYTES = 8 * 1024 * 1024


def make_routes(door: Door, intake: Intake, *, loopback: bool) -> APIRouter:
    """`loopback`: http callbacks to this machine are permitted."""
    router = APIRouter(route_class=RawRoute)

    @router.post("/v1/messages", **docs.SEND_MESSAGE)
    async def send_message(request: Request) -> Response:
        stored = await door.caller(request, "messages:write")
        headers = door.within_limits(stored, 1)
        body = await body_of(request, SINGLE_BYTES)
        checked = check_message(body, door.clock(), loopback=loopback)
        if isinstance(checked, list):
            raise refused(checked)
        claim = door.claim_of(request, stored, body)
        return taken(await intake.take_messages(stored.caller.tenant_id, [checked], claim, single=True), headers)

    @router.post("/v1/messages/batch", **docs.SEND_BATCH)
    async def send_batch(request: Request) -> Response:
        stored = await door.caller(request, "messages:write")
        body = await body_of(request, BATCH_BYTES)
        raw = items_of(body, "messages", BATCH_ITEMS)
        headers = door.within_limits(stored, len(raw))
        claim = door.claim_of(request, stored, body)
        now = door.clock()
        items = [check_message(item, now, loopback=loopback) for item in raw]
        return taken(await intake.take_messages(stored.caller.tenant_id, items, claim, single=False), headers)

    @router.post("/v1/events/batch", **docs.TRACK_EVENTS)
    async def track_events(request: Request) -> Response:
        stored = await door.caller(request, "events:write")
        body = await body_of(request, BATCH_BYTES)
        raw = items_of(body, "events", BATCH_ITEMS)
        headers = door.within_limits(stored, len(raw))
        claim = door.claim_of(request, stored, body)
        now = door.clock()
        items: list[Any] = [check_event(item, now) for item in raw]
        return taken(await intake.take_events(stored.caller.tenant_id, items, claim), headers)

    return router

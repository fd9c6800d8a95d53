"""/v1/callbacks: endpoints, their shapes and health, their secrets, and telling again."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.db.database import Database
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from dlr_processor.adapters import callback_queue, stories
from dlr_processor.adapters.secrets import SecretBox, new_secret
from dlr_processor.callbacks import CallbackWorker
from dlr_processor.domain.addresses import trouble_with
from dlr_processor.domain.fold import Change, Extent
from dlr_processor.domain.retries import OPENS_AFTER
from dlr_processor.domain.shapes import BATCHES
from dlr_processor.domain.states import RANK, in_order
from dlr_processor.domain.tell import DEFAULT_EVENTS, EVENTS, utc
from dlr_processor.http_values import answer, canonical, moment, tenant_of

MOST_ENDPOINTS = 20
MOST_AGAIN = 1_000
OVERLAP_MS = 24 * 3_600_000  # how long a replaced secret still signs beside the new one


class NewEndpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = Field(examples=["https://shop.example/relais"])
    events: list[str] = Field(default_factory=list, max_length=len(RANK), examples=[["delivered", "undelivered"]])
    shape: Literal["standard", "twilio", "infobip", "kannel", "jasmin"] = "standard"
    batch: int = Field(default=1, ge=1, le=500, description="at most so many callbacks in one call")


class Redelivery(BaseModel):
    """Which messages' latest state is told again: those named, or those born in a time range, with filters."""

    model_config = ConfigDict(extra="forbid")

    callback: str | None = Field(default=None, description="one endpoint; without it all that want the state")
    message_ids: list[str] = Field(default_factory=list, max_length=MOST_AGAIN)
    since: str | None = None
    until: str | None = None
    status: str | None = None
    campaign: str | None = Field(default=None, max_length=200)
    cursor: str | None = None


def make_callback_routes(
    database: Database,
    tokens: Tokens,
    box: SecretBox,
    worker: CallbackWorker,
    now_ms: Clock,
    *,
    allow_loopback: bool,
) -> APIRouter:
    router = APIRouter()
    admin = Annotated[Caller, Depends(caller_with(tokens, "admin"))]

    async def add_endpoint(endpoint: NewEndpoint, caller: admin) -> Response:
        trouble = trouble_with(endpoint.url, allow_loopback=allow_loopback)
        if trouble is not None:
            raise field_problem("url", "bad_url", trouble)
        unknown = sorted(set(endpoint.events) - EVENTS)
        if unknown:
            raise field_problem("events", "unknown_event", f"may hold {', '.join(RANK)}")
        if endpoint.batch > 1 and endpoint.shape not in BATCHES:
            raise field_problem("batch", "no_batches", f"only {' and '.join(sorted(BATCHES))} have a form for several")
        tenant = tenant_of(caller)
        endpoint_id, secret, now = str(uuid.uuid4()), new_secret(), now_ms()
        events = sorted(set(endpoint.events))
        async with database.hot(tenant) as connection:
            if await connection.fetchval("SELECT count(*) FROM callback_endpoints WHERE tenant_id = $1", tenant) >= (
                MOST_ENDPOINTS
            ):
                raise ProblemError(409, "too_many_endpoints", f"a tenant has at most {MOST_ENDPOINTS} endpoints")
            await connection.execute(
                "INSERT INTO callback_endpoints (endpoint_id, tenant_id, url, events, secret, made_at, shape, batch) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                endpoint_id, tenant, endpoint.url, events, box.close(tenant, secret), now, endpoint.shape, endpoint.batch,
            )  # fmt: skip
        shown = _endpoint(endpoint_id, endpoint.url, events, now, endpoint.shape, endpoint.batch)
        return answer(shown | {"secret": secret}, 201)

    async def list_endpoints(caller: admin) -> Response:
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            rows = await connection.fetch(
                "SELECT endpoint_id::text, url, events, made_at, shape, batch FROM callback_endpoints "
                "WHERE tenant_id = $1 ORDER BY made_at, endpoint_id", tenant,
            )  # fmt: skip
        return answer({"callbacks": [_endpoint(*row) for row in rows]})

    async def get_endpoint(endpoint_id: str, caller: admin) -> Response:
        found, tenant = canonical(endpoint_id), tenant_of(caller)
        row = None
        if found is not None:
            async with database.hot(tenant) as connection:
                row = await connection.fetchrow(
                    "SELECT endpoint_id::text, url, events, made_at, shape, batch FROM callback_endpoints "
                    "WHERE endpoint_id = $1 AND tenant_id = $2", found, tenant,
                )  # fmt: skip
                health = await connection.fetchrow(
                    "SELECT failures, paused_until, last_outcome, delivered_at, failed_at, delivered, failed "
                    "FROM callback_health WHERE target = $1 AND tenant_id = $2", found, tenant,
                )  # fmt: skip
                waiting = await connection.fetchrow(
                    "SELECT count(*), min(made_at) FROM "
                    "(SELECT made_at FROM callback_queue WHERE target = $1 AND tenant_id = $2 LIMIT 10000) q",
                    found, tenant,
                )  # fmt: skip
        if row is None:
            raise ProblemError(404, "not_found", "no endpoint of yours has this id")
        return answer(_endpoint(*row) | {"health": _health(health, waiting)})

    async def delete_endpoint(endpoint_id: str, caller: admin) -> Response:
        found, tenant = canonical(endpoint_id), tenant_of(caller)
        deleted = "DELETE 0"
        if found is not None:
            async with database.hot(tenant) as connection:
                deleted = await connection.execute(
                    "DELETE FROM callback_endpoints WHERE endpoint_id = $1 AND tenant_id = $2", found, tenant
                )
                await connection.execute(
                    "DELETE FROM callback_health WHERE target = $1 AND tenant_id = $2", found, tenant
                )
        if deleted == "DELETE 0":
            raise ProblemError(404, "not_found", "no endpoint of yours has this id")
        return Response(status_code=204)

    async def new_default_secret(caller: admin) -> Response:
        tenant = tenant_of(caller)
        secret, now = new_secret(), now_ms()
        async with database.hot(tenant) as connection:
            await connection.execute(
                "INSERT INTO callback_secrets (tenant_id, secret, made_at) VALUES ($1, $2, $3) ON CONFLICT (tenant_id) "
                "DO UPDATE SET previous = callback_secrets.secret, previous_until = $4, secret = excluded.secret, "
                "made_at = excluded.made_at",
                tenant, box.close(tenant, secret), now, now + OVERLAP_MS,
            )  # fmt: skip
        return answer({"secret": secret, "previous_valid_until": utc(now + OVERLAP_MS)}, 201)

    async def rotate_endpoint(endpoint_id: str, caller: admin) -> Response:
        found, tenant = canonical(endpoint_id), tenant_of(caller)
        secret, now = new_secret(), now_ms()
        changed = "UPDATE 0"
        if found is not None:
            async with database.hot(tenant) as connection:
                changed = await connection.execute(
                    "UPDATE callback_endpoints SET previous = secret, previous_until = $4, secret = $3 "
                    "WHERE endpoint_id = $1 AND tenant_id = $2",
                    found, tenant, box.close(tenant, secret), now + OVERLAP_MS,
                )  # fmt: skip
        if changed == "UPDATE 0":
            raise ProblemError(404, "not_found", "no endpoint of yours has this id")
        return answer({"id": found, "secret": secret, "previous_valid_until": utc(now + OVERLAP_MS)}, 201)

    async def redeliver(asked: Redelivery, caller: admin) -> Response:
        """Tells the latest state again, under the webhook-id it had: receivers that have it can tell."""
        if asked.status is not None and asked.status not in RANK:
            raise field_problem("status", "unknown_status", f"is none of {', '.join(RANK)}")
        ids = [canonical(text) for text in asked.message_ids]
        if None in ids:
            raise field_problem("message_ids", "bad_id", "holds something that is no message id")
        if not ids and asked.since is None:
            raise field_problem("since", "required", "name the messages, or the time from which to tell again")
        endpoint = canonical(asked.callback or "")
        if asked.callback is not None and endpoint is None:
            raise field_problem("callback", "bad_id", "is no id of an endpoint")
        place = canonical(asked.cursor or "")
        if asked.cursor is not None and place is None:
            raise field_problem("cursor", "bad_cursor", "is not one that an answer has given you")
        tenant, now = tenant_of(caller), now_ms()
        async with database.hot(tenant) as connection:
            if ids:
                found = await stories.named(connection, tenant, [i for i in ids if i is not None])
            else:
                found = await stories.listed(
                    connection, tenant, status=asked.status, campaign=asked.campaign, client_ref=None,
                    since=moment("since", asked.since), until=moment("until", asked.until), cursor=place,
                    limit=MOST_AGAIN,
                )  # fmt: skip
            endpoints = await callback_queue.endpoints_of(connection, [tenant])
            if endpoint is not None:
                endpoints = {tenant: [e for e in endpoints.get(tenant, []) if e.endpoint_id == endpoint]}
                if not endpoints[tenant]:
                    raise ProblemError(404, "not_found", "no endpoint of yours has this id")
            changes = [Change(m, Extent.PROGRESS, reached=in_order(m.states)) for m in found if m.states]
            queued = await callback_queue.enqueue(connection, changes, endpoints, now, own_urls=endpoint is None)
        worker.wake()
        body: dict[str, Any] = {"messages": len(found), "queued": queued}
        if not ids and len(found) == MOST_AGAIN:
            body["next_cursor"] = found[-1].message_id
        return answer(body, 202)

    add = router.add_api_route
    add("/v1/callbacks", add_endpoint, methods=["POST"], status_code=201, summary="Add an endpoint for callbacks")
    add("/v1/callbacks", list_endpoints, methods=["GET"], summary="Endpoints for callbacks")
    add(
        "/v1/callbacks/secret",
        new_default_secret,
        methods=["POST"],
        status_code=201,
        summary="A new secret for the callbacks of messages that name their own callback_url",
    )
    add("/v1/callbacks/redeliver", redeliver, methods=["POST"], status_code=202, summary="Tell messages' states again")
    add("/v1/callbacks/{endpoint_id}", get_endpoint, methods=["GET"], summary="One endpoint, and how it fares")
    add("/v1/callbacks/{endpoint_id}", delete_endpoint, methods=["DELETE"], status_code=204, summary="Remove one")
    add(
        "/v1/callbacks/{endpoint_id}/secret",
        rotate_endpoint,
        methods=["POST"],
        status_code=201,
        summary="A new secret; the old one signs beside it for a day",
    )
    return router


def _endpoint(endpoint_id: str, url: str, events: list[str], made_at: int, shape: str, batch: int) -> dict[str, Any]:
    return {
        "id": endpoint_id,
        "url": url,
        "events": sorted(events) or sorted(DEFAULT_EVENTS),
        "shape": shape,
        "batch": batch,
        "created_at": utc(made_at),
    }


def _health(health: Any, waiting: Any) -> dict[str, Any]:
    """`ok`, `failing`, or `slowed` once it gets one probe at a time."""
    found: dict[str, Any] = {"state": "ok", "waiting": waiting[0]}
    if waiting[1] is not None:
        found["oldest_waiting_since"] = utc(waiting[1])
    if health is None:
        return found
    failures = health["failures"]
    found["state"] = "slowed" if failures >= OPENS_AFTER else "failing" if failures else "ok"
    found |= {"failures_in_a_row": failures, "delivered": health["delivered"], "failed": health["failed"],
              "last_outcome": health["last_outcome"]}  # fmt: skip
    if failures >= OPENS_AFTER:
        found["next_probe_at"] = utc(health["paused_until"])
    for name in ("delivered_at", "failed_at"):
        if health[name] is not None:
            found[f"last_{name}"] = utc(health[name])
    return found

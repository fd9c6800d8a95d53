"""The public paths that this service owns: messages' stories, and callbacks."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from shared.clock import Clock
from shared.crypto.ids import MessageIds
from shared.crypto.tokens import Caller, Tokens
from shared.db.database import Database
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from dlr_processor.adapters import stories
from dlr_processor.adapters.secrets import SecretBox, new_secret
from dlr_processor.domain.addresses import trouble_with
from dlr_processor.domain.states import RANK
from dlr_processor.domain.story import summary, whole
from dlr_processor.domain.tell import DEFAULT_EVENTS, EVENTS, utc

MOST_LISTED = 500
MOST_ENDPOINTS = 20
OVERLAP_MS = 24 * 3_600_000  # how long a replaced secret still signs beside the new one


class NewEndpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = Field(examples=["https://shop.example/relais"])
    events: list[str] = Field(default_factory=list, max_length=len(RANK), examples=[["delivered", "undelivered"]])


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def make_routes(
    database: Database,
    tokens: Tokens,
    ids: MessageIds,
    box: SecretBox,
    now_ms: Clock,
    *,
    allow_loopback: bool,
) -> APIRouter:
    router = APIRouter()
    reader = Annotated[Caller, Depends(caller_with(tokens, "messages:read"))]
    admin = Annotated[Caller, Depends(caller_with(tokens, "admin"))]

    async def get_message(message_id: str, caller: reader) -> Response:
        canonical = _canonical(message_id)
        tenant = _tenant(caller)
        found = None
        if canonical is not None:
            async with database.hot(tenant) as connection:
                found = await stories.story(connection, tenant, canonical)
        if found is not None:
            return _json(whole(*found))
        if canonical is not None and ids.is_ours(tenant, canonical):
            # Taken in a moment ago; its record is still on the way here.
            return _json({"message_id": canonical, "status": "accepted"})
        raise ProblemError(404, "not_found", "no message of yours has this id")

    async def list_messages(
        caller: reader,
        status: str | None = None,
        campaign: Annotated[str | None, Query(max_length=200)] = None,
        client_ref: Annotated[str | None, Query(max_length=200)] = None,
        since: str | None = None,
        until: str | None = None,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    ) -> Response:
        if status is not None and status not in RANK:
            raise field_problem("status", "unknown_status", f"is none of {', '.join(RANK)}")
        place = None if cursor is None else _canonical(cursor)
        if cursor is not None and place is None:
            raise field_problem("cursor", "bad_cursor", "is not one that a list has given you")
        tenant = _tenant(caller)
        async with database.hot(tenant) as connection:
            found = await stories.listed(
                connection, tenant, status=status, campaign=campaign, client_ref=client_ref,
                since=_moment("since", since), until=_moment("until", until), cursor=place, limit=limit + 1,
            )  # fmt: skip
        page = found[:limit]
        body: dict[str, Any] = {"messages": [summary(message) for message in page]}
        if len(found) > limit:
            body["next_cursor"] = page[-1].message_id
        return _json(body)

    async def add_endpoint(endpoint: NewEndpoint, caller: admin) -> Response:
        trouble = trouble_with(endpoint.url, allow_loopback=allow_loopback)
        if trouble is not None:
            raise field_problem("url", "bad_url", trouble)
        unknown = sorted(set(endpoint.events) - EVENTS)
        if unknown:
            raise field_problem("events", "unknown_event", f"may hold {', '.join(RANK)}")
        tenant = _tenant(caller)
        endpoint_id, secret, now = str(uuid.uuid4()), new_secret(), now_ms()
        async with database.hot(tenant) as connection:
            if await connection.fetchval("SELECT count(*) FROM callback_endpoints WHERE tenant_id = $1", tenant) >= (
                MOST_ENDPOINTS
            ):
                raise ProblemError(409, "too_many_endpoints", f"a tenant has at most {MOST_ENDPOINTS} endpoints")
            await connection.execute(
                "INSERT INTO callback_endpoints (endpoint_id, tenant_id, url, events, secret, made_at) "
                "VALUES ($1, $2, $3, $4, $5, $6)",
                endpoint_id, tenant, endpoint.url, sorted(set(endpoint.events)), box.close(tenant, secret), now,
            )  # fmt: skip
        return _json(_endpoint(endpoint_id, endpoint.url, endpoint.events, now) | {"secret": secret}, 201)

    async def list_endpoints(caller: admin) -> Response:
        tenant = _tenant(caller)
        async with database.hot(tenant) as connection:
            rows = await connection.fetch(
                "SELECT endpoint_id::text, url, events, made_at FROM callback_endpoints WHERE tenant_id = $1 "
                "ORDER BY made_at, endpoint_id", tenant,
            )  # fmt: skip
        return _json({"callbacks": [_endpoint(*row) for row in rows]})

    async def delete_endpoint(endpoint_id: str, caller: admin) -> Response:
        canonical = _canonical(endpoint_id)
        tenant = _tenant(caller)
        deleted = "DELETE 0"
        if canonical is not None:
            async with database.hot(tenant) as connection:
                deleted = await connection.execute(
                    "DELETE FROM callback_endpoints WHERE endpoint_id = $1 AND tenant_id = $2", canonical, tenant
                )
        if deleted == "DELETE 0":
            raise ProblemError(404, "not_found", "no endpoint of yours has this id")
        return Response(status_code=204)

    async def new_default_secret(caller: admin) -> Response:
        tenant = _tenant(caller)
        secret, now = new_secret(), now_ms()
        async with database.hot(tenant) as connection:
            await connection.execute(
                "INSERT INTO callback_secrets (tenant_id, secret, made_at) VALUES ($1, $2, $3) ON CONFLICT (tenant_id) "
                "DO UPDATE SET previous = callback_secrets.secret, previous_until = $4, secret = excluded.secret, "
                "made_at = excluded.made_at",
                tenant, box.close(tenant, secret), now, now + OVERLAP_MS,
            )  # fmt: skip
        return _json({"secret": secret, "previous_valid_until": utc(now + OVERLAP_MS)}, 201)

    async def rotate_endpoint(endpoint_id: str, caller: admin) -> Response:
        canonical = _canonical(endpoint_id)
        tenant = _tenant(caller)
        secret, now = new_secret(), now_ms()
        changed = "UPDATE 0"
        if canonical is not None:
            async with database.hot(tenant) as connection:
                changed = await connection.execute(
                    "UPDATE callback_endpoints SET previous = secret, previous_until = $4, secret = $3 "
                    "WHERE endpoint_id = $1 AND tenant_id = $2",
                    canonical, tenant, box.close(tenant, secret), now + OVERLAP_MS,
                )  # fmt: skip
        if changed == "UPDATE 0":
            raise ProblemError(404, "not_found", "no endpoint of yours has this id")
        return _json({"id": canonical, "secret": secret, "previous_valid_until": utc(now + OVERLAP_MS)}, 201)

    add = router.add_api_route
    add("/v1/messages/{message_id}", get_message, methods=["GET"], summary="A message's whole story")
    add("/v1/messages", list_messages, methods=["GET"], summary="Messages, newest first")
    add("/v1/callbacks", add_endpoint, methods=["POST"], status_code=201, summary="Add an endpoint for callbacks")
    add("/v1/callbacks", list_endpoints, methods=["GET"], summary="Endpoints for callbacks")
    add(
        "/v1/callbacks/secret",
        new_default_secret,
        methods=["POST"],
        status_code=201,
        summary="A new secret for the callbacks of messages that name their own callback_url",
    )
    add("/v1/callbacks/{endpoint_id}", delete_endpoint, methods=["DELETE"], status_code=204, summary="Remove one")
    add(
        "/v1/callbacks/{endpoint_id}/secret",
        rotate_endpoint,
        methods=["POST"],
        status_code=201,
        summary="A new secret; the old one signs beside it for a day",
    )
    return router


def _endpoint(endpoint_id: str, url: str, events: list[str], made_at: int) -> dict[str, Any]:
    return {
        "id": endpoint_id,
        "url": url,
        "events": sorted(events) or sorted(DEFAULT_EVENTS),
        "created_at": utc(made_at),
    }


def _tenant(caller: Caller) -> str:
    if caller.tenant_id in ("", "*") or "," in caller.tenant_id:
        raise ProblemError(403, "forbidden", "the token names no tenant")
    return caller.tenant_id


def _canonical(text: str) -> str | None:
    """A UUID as the ledger writes it; None for anything else."""
    try:
        return str(uuid.UUID(text)) if len(text) in (32, 36) else None
    except ValueError:
        return None


def _moment(field: str, text: str | None) -> int | None:
    """RFC 3339 to milliseconds."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        value = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise field_problem(field, "bad_time", "must be an RFC 3339 time such as 2025-01-31T08:00:00Z") from error
    if value < 0:
        raise field_problem(field, "bad_time", "lies before 1970")
    return value

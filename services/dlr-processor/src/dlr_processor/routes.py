"""What people ask the ledger: messages' stories, what handsets wrote, reasons, numbers' health, retry policies."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from shared.carriers.catalogue import CATALOGUE
from shared.contracts.fields import PURPOSES
from shared.crypto.ids import MessageIds
from shared.crypto.tokens import Caller, Tokens
from shared.db.database import Database
from shared.http.caller import caller_with
from shared.http.problems import ProblemError, field_problem

from dlr_processor.adapters import inbound, numbers, stories
from dlr_processor.adapters.segmenter import ConsentAsker
from dlr_processor.domain.retry_policy import LONGEST_S, MAY_NAME, MOST_ATTEMPTS
from dlr_processor.domain.states import RANK
from dlr_processor.domain.story import summary, whole
from dlr_processor.domain.tell import utc
from dlr_processor.http_values import answer, canonical, moment, tenant_of

MOST_LISTED = 500


class NewPolicy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reasons: list[str] = Field(min_length=1, max_length=50, examples=[["expired", "undeliverable"]])
    attempts: int = Field(default=2, ge=2, le=MOST_ATTEMPTS, description="in all")
    within_s: int = Field(default=6 * 3600, ge=60, le=LONGEST_S, description="counted from acceptance")


def make_routes(database: Database, tokens: Tokens, ids: MessageIds, consents: ConsentAsker) -> APIRouter:
    router = APIRouter()
    reader = Annotated[Caller, Depends(caller_with(tokens, "messages:read"))]
    admin = Annotated[Caller, Depends(caller_with(tokens, "admin"))]

    async def get_message(message_id: str, caller: reader) -> Response:
        found, tenant = canonical(message_id), tenant_of(caller)
        story = None
        if found is not None:
            async with database.hot(tenant) as connection:
                story = await stories.story(connection, tenant, found)
                if story is not None:
                    return answer(whole(*story) | {"callbacks": await stories.callbacks(connection, tenant, found)})
        if found is not None and ids.is_ours(tenant, found):
            # Taken in a moment ago; its record is still on the way here.
            return answer({"message_id": found, "status": "accepted"})
        raise ProblemError(404, "not_found", "no message of yours has this id")

    async def get_consent(message_id: str, caller: reader) -> Response:
        """The proof of consent on which this message was prepared, from the segmenter's ledger."""
        found, tenant = canonical(message_id), tenant_of(caller)
        told = None
        if found is not None:
            async with database.hot(tenant) as connection:
                told = await stories.story(connection, tenant, found)
        if told is None:
            raise ProblemError(404, "not_found", "no message of yours has this id")
        message = told[0]
        if message.contact_id is None or message.purpose is None:  # a submission came before what names the person
            raise ProblemError(409, "not_prepared", "nobody has decided about this message yet; try again in a moment")
        decided = next((e.at for e in message.states if e.state in ("prepared", "dropped")), message.accepted_at)
        proof = await consents.proof(tenant, message, decided)
        return answer({"message_id": found, "decided_at": utc(decided)} | proof)

    async def list_messages(
        caller: reader,
        status: str | None = None,
        campaign: Annotated[str | None, Query(max_length=200)] = None,
        client_ref: Annotated[str | None, Query(max_length=200)] = None,
        contact: Annotated[str | None, Query(max_length=200)] = None,
        carrier: Annotated[str | None, Query(max_length=64)] = None,
        country: Annotated[str | None, Query(max_length=2)] = None,
        since: str | None = None,
        until: str | None = None,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    ) -> Response:
        if status is not None and status not in RANK:
            raise field_problem("status", "unknown_status", f"is none of {', '.join(RANK)}")
        place = None if cursor is None else canonical(cursor)
        if cursor is not None and place is None:
            raise field_problem("cursor", "bad_cursor", "is not one that a list has given you")
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            found = await stories.listed(
                connection, tenant, status=status, campaign=campaign, client_ref=client_ref, contact=contact,
                carrier=carrier, country=country, since=moment("since", since), until=moment("until", until),
                cursor=place, limit=limit + 1,
            )  # fmt: skip
        page = found[:limit]
        body: dict[str, Any] = {"messages": [summary(message) for message in page]}
        if len(found) > limit:
            body["next_cursor"] = page[-1].message_id
        return answer(body)

    async def list_inbound(
        caller: reader,
        keyword: Annotated[str | None, Query(max_length=20)] = None,
        since: str | None = None,
        cursor: Annotated[str | None, Query(max_length=120)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    ) -> Response:
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            found = await inbound.listed(
                connection,
                tenant,
                keyword=keyword,
                since=moment("since", since),
                cursor=_place(cursor),
                limit=limit + 1,
            )
        page = found[:limit]
        shown = [
            {"at": utc(row["received_at"])}
            | {name: row[name] for name in ("carrier", "recipient", "keyword", "contact_id", "message_id") if row[name]}
            for row in page
        ]
        body: dict[str, Any] = {"inbound": shown}
        if len(found) > limit:
            body["next_cursor"] = f"{page[-1]['received_at']}.{page[-1]['event_id']}"
        return answer(body)

    async def list_reasons(caller: reader) -> Response:
        return answer({"reasons": [CATALOGUE[name] for name in sorted(CATALOGUE)]})

    async def get_number(contact_id: str, caller: reader) -> Response:
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            found = await numbers.health_of(connection, tenant, contact_id)
        if found is None:
            return answer({"contact_id": contact_id, "score": 100, "failures": 0, "evidence": []})
        body: dict[str, Any] = {
            "contact_id": contact_id, "contact": found.contact_ref, "score": found.score, "failures": found.failures,
            "evidence": [entry | {"at": utc(entry["at"])} for entry in found.evidence],
        }  # fmt: skip
        if found.suppressed_at is not None:
            body["suppressed_at"] = utc(found.suppressed_at)
        return answer(body)

    async def put_policy(purpose: str, policy: NewPolicy, caller: admin) -> Response:
        if purpose not in PURPOSES:
            raise ProblemError(404, "not_found", f"the class is one of {', '.join(PURPOSES)}")
        useless = sorted(set(policy.reasons) - MAY_NAME)
        if useless:
            raise field_problem("reasons", "no_cure", f"another attempt cures none but {', '.join(sorted(MAY_NAME))}")
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            await connection.execute(
                "INSERT INTO retry_policies (tenant_id, purpose, reasons, attempts, within_s) VALUES ($1, $2, $3, $4, $5) "
                "ON CONFLICT (tenant_id, purpose) DO UPDATE SET reasons = excluded.reasons, "
                "attempts = excluded.attempts, within_s = excluded.within_s",
                tenant, purpose, sorted(set(policy.reasons)), policy.attempts, policy.within_s,
            )  # fmt: skip
        return answer({"class": purpose} | policy.model_dump())

    async def list_policies(caller: reader) -> Response:
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            rows = await connection.fetch(
                "SELECT purpose AS class, reasons, attempts, within_s FROM retry_policies WHERE tenant_id = $1 "
                "ORDER BY purpose", tenant,
            )  # fmt: skip
        return answer({"retries": [dict(row) for row in rows]})

    async def delete_policy(purpose: str, caller: admin) -> Response:
        tenant = tenant_of(caller)
        async with database.hot(tenant) as connection:
            deleted = await connection.execute(
                "DELETE FROM retry_policies WHERE tenant_id = $1 AND purpose = $2", tenant, purpose
            )
        if deleted == "DELETE 0":
            raise ProblemError(404, "not_found", "there is no such policy")
        return Response(status_code=204)

    add = router.add_api_route
    add("/v1/messages/{message_id}", get_message, methods=["GET"], summary="A message's whole story")
    add("/v1/messages/{message_id}/consent", get_consent, methods=["GET"], summary="The proof of consent for a message")
    add("/v1/messages", list_messages, methods=["GET"], summary="Messages, newest first")
    add("/v1/inbound", list_inbound, methods=["GET"], summary="What handsets wrote, newest first, without its text")
    add("/v1/reasons", list_reasons, methods=["GET"], summary="Every reason: temporary or not, whose fault, what to do")
    add("/v1/numbers/{contact_id}", get_number, methods=["GET"], summary="How reachable a number is, with the evidence")
    add("/v1/retries", list_policies, methods=["GET"], summary="Which ends of an attempt get another one")
    add("/v1/retries/{purpose}", put_policy, methods=["PUT"], summary="Set the policy of a class")
    add("/v1/retries/{purpose}", delete_policy, methods=["DELETE"], status_code=204, summary="No more retries")
    return router


def _place(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, _, event_id = cursor.partition(".")
    if not at.isdecimal() or len(at) > 18 or not event_id:
        raise field_problem("cursor", "bad_cursor", "is not one that a list has given you")
    return int(at), event_id

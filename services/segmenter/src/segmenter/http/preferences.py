"""What a person's preference page shows and does. ingest draws the page and asks here; only services may."""

import secrets
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct
from shared.crypto.tokens import Caller
from shared.db.migrate import EVERYONE
from shared.http.caller import caller_with

from segmenter.adapters.consent_store import Entry, Speaker
from segmenter.domain.consent import MARKETING
from segmenter.http.bodies import answer, body_of, not_found
from segmenter.http.parts import Parts

SOURCE = "preference page"


class SaidBody(Struct, forbid_unknown_fields=True):
    """`proof`: which form, in which words, from which address."""

    purpose: Annotated[str, msgspec.Meta(pattern=r"^marketing(:[a-z0-9][a-z0-9_\-]{0,39})?$")]
    state: Literal["granted", "withdrawn"]
    proof: Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$")]
    wording: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00]*$")] | None = None


_SAID = msgspec.json.Decoder(SaidBody)


def make_preference_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    internal = Depends(caller_with(parts.tokens, "internal"))

    async def found(code: str) -> tuple[str, str]:
        """(tenant, contact_id) of a page. 404 for a code that we did not make."""
        claimed = parts.pages.read(code)
        if claimed is not None:
            async with parts.db.hot(EVERYONE) as connection:
                rows = await connection.fetch(
                    "SELECT DISTINCT tenant_id, contact_id FROM consent_state WHERE contact_id >= $1 AND contact_id < $2",
                    claimed.begins, claimed.begins + "g",
                )  # fmt: skip
            for row in rows:
                if parts.pages.proves(claimed, row["contact_id"]):
                    return row["tenant_id"], row["contact_id"]
        raise not_found("page")

    @routes.get("/internal/v1/preferences/{code}")
    async def get(code: str, caller: Caller = internal) -> Response:
        tenant, contact_id = await found(code)
        async with parts.db.hot(tenant) as connection:
            sharing = await parts.consents.lock_sharing(connection, tenant, [contact_id])
            locale = await connection.fetchval(
                "SELECT locale FROM contacts WHERE tenant_id = $1 AND contact_id = $2 ORDER BY ref LIMIT 1",
                tenant,
                contact_id,
            )
        return answer({"locale": locale, "purposes": _states(sharing)})

    @routes.post("/internal/v1/preferences/{code}")
    async def say(code: str, request: Request, caller: Caller = internal) -> Response:
        """A word said on the page counts for everyone who has the number, as a STOP does; a grant too."""
        tenant, contact_id = await found(code)
        body, now = await body_of(request, _SAID), parts.clock()
        async with parts.db.hot(tenant) as connection:
            sharing = await parts.consents.lock_sharing(connection, tenant, [contact_id])
            held = _states(sharing)
            if held.get(body.purpose) != body.state:
                mark = secrets.token_hex(12)
                await parts.consents.record(
                    connection, tenant,
                    [Entry(f"page:{mark}:{s.ref}", s.ref, body.purpose, body.state, SOURCE, body.proof, now, "person", body.wording) for s in sharing],
                    now,
                )  # fmt: skip
                held[body.purpose] = body.state
        parts.pump.wake()
        return answer({"purposes": held})

    return routes


def _states(sharing: list[Speaker]) -> dict[str, Any]:
    """What holds for the number: `marketing` always told, brands where somebody said something; the strictest of all."""
    told: dict[str, Any] = {MARKETING: None}
    rank = {None: 0, "granted": 1, "withdrawn": 2, "suppressed": 3}
    for speaker in sharing:
        for purpose, stance in speaker.stances.items():
            if purpose.partition(":")[0] == MARKETING and rank[stance.state] > rank[told.get(purpose)]:
                told[purpose] = stance.state
    return told

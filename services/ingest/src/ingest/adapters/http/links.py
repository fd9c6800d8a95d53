"""/v1/links: a tenant's short links."""

import secrets
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from shared.http.problems import ProblemError
from shared.links.codes import LinkCodes
from shared.links.texts import PATH

from ingest.adapters.http import link_documents as docs
from ingest.adapters.http.door import Door
from ingest.adapters.http.raw import RawRoute, answer, body_of, refused
from ingest.adapters.link_store import LinksInMemory, LinkStore, TakenError, link_of
from ingest.domain.faults import Fault
from ingest.domain.links import Wanted, check_link

BODY_BYTES: Final = 32 * 1024
PAGE: Final = 100
MOST: Final = 1_000


def make_routes(door: Door, store: LinkStore, memory: LinksInMemory, codes: LinkCodes, base_url: str) -> APIRouter:
    """`base_url`: where links without a domain of their own are served, such as https://go.example.com."""
    router = APIRouter(route_class=RawRoute)

    def shown(row: dict[str, Any]) -> dict[str, Any]:
        base = f"https://{row['domain']}" if row["domain"] else base_url
        return {
            "id": row["link_id"], "url": f"{base}{PATH}{codes.code(row['number'])}", "target": row["target"],
            "ios": row["ios"], "android": row["android"], "campaign": row["campaign_id"], "utm": row["utm"],
            "expires_at": _written(row["expires_at"]), "fallback": row["fallback"], "domain": row["domain"],
            "version": row["version"], "created_at": _written(row["created_at"]), "updated_at": _written(row["changed_at"]),
        }  # fmt: skip

    async def put(request: Request, link_id: str | None, *, new: bool) -> Response:
        stored = await door.caller(request, "campaigns:write")
        headers = door.within_limits(stored, 1)
        wanted = await _wanted(request, link_id)
        try:
            row = await store.put(stored.caller.tenant_id, wanted, new=new)
        except TakenError as error:
            raise ProblemError(409, "taken", str(error)) from error
        memory.add(link_of(row))
        return answer(shown(row), 201 if row["version"] == 1 else 200, headers)

    @router.post("/v1/links", **docs.MAKE_LINK)
    async def make(request: Request) -> Response:
        return await put(request, None, new=True)

    @router.put("/v1/links/{link_id}", **docs.PUT_LINK)
    async def change(request: Request) -> Response:
        return await put(request, request.path_params["link_id"], new=False)

    @router.get("/v1/links", **docs.LIST_LINKS)
    async def listed(request: Request) -> Response:
        stored = await door.caller(request, "campaigns:read")
        headers = door.within_limits(stored, 1)
        query = request.query_params
        most = _limit(query.get("limit"))
        rows = await store.listed(stored.caller.tenant_id, query.get("after", ""), most + 1, query.get("campaign"))
        more = len(rows) > most
        links = [shown(row) for row in rows[:most]]
        return answer({"links": links, "next": links[-1]["id"] if more else None}, headers=headers)

    @router.get("/v1/links/{link_id}", **docs.GET_LINK)
    async def get(request: Request) -> Response:
        stored = await door.caller(request, "campaigns:read")
        headers = door.within_limits(stored, 1)
        row = await store.find(stored.caller.tenant_id, request.path_params["link_id"])
        if row is None:
            raise ProblemError(404, "not_found", "this tenant has no such link")
        return answer(shown(row), headers=headers)

    @router.delete("/v1/links/{link_id}", **docs.DELETE_LINK)
    async def delete(request: Request) -> Response:
        stored = await door.caller(request, "campaigns:write")
        headers = door.within_limits(stored, 1)
        gone = await store.delete(stored.caller.tenant_id, request.path_params["link_id"])
        if gone is None:
            raise ProblemError(404, "not_found", "this tenant has no such link")
        memory.add(gone)
        return Response(status_code=204, headers=headers)

    return router


async def _wanted(request: Request, link_id: str | None) -> Wanted:
    try:
        asked = msgspec.json.decode(await body_of(request, BODY_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused([Fault("body", "malformed_json", "is not valid JSON in UTF-8")]) from error
    if isinstance(asked, dict) and link_id is not None:
        if asked.get("id", link_id) != link_id:
            raise refused([Fault("id", "mismatch", "is not the one in the path: leave it out")])
        asked = {**asked, "id": link_id}
    checked = check_link(asked)
    if isinstance(checked, list):
        raise refused(checked)
    return checked if checked.link_id is not None else checked._replace(link_id=secrets.token_hex(8))


def _limit(written: str | None) -> int:
    if written is None:
        return PAGE
    if not written.isdecimal() or not 1 <= int(written) <= MOST:
        raise refused([Fault("limit", "out_of_range", f"must be from 1 to {MOST}")])
    return int(written)


def _written(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

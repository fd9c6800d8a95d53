"""Books of rules over HTTP: put, look at, put in force, roll back. Each is checked whole before it goes live."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from shared.crypto.tokens import Caller, Tokens
from shared.http.caller import caller_with
from shared.http.problems import ProblemError

from router.adapters.carriers_store import CarriersStore
from router.adapters.requests import json_of, problem_of
from router.adapters.rules_store import NoSuchVersionError, RulesStore
from router.data.seed import proposed_windows
from router.domain.rule_books import checked
from router.domain.trouble import TroublesError

Told = dict[str, Any]
# Public path of each book.
PATHS = {
    "routes": "/v1/routes",
    "windows": "/v1/routes/windows",
    "senders": "/v1/senders",
    "limits": "/v1/routes/limits",
}
_WORDS = {
    "routes": "routing rules",
    "windows": "send windows",
    "senders": "rules for senders",
    "limits": "tenants' limits, margins and shares",
}


def make_books_routes(tokens: Tokens, carriers: CarriersStore, store: RulesStore) -> APIRouter:
    routes = APIRouter()
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type
    Internal = Annotated[Caller, Depends(caller_with(tokens, "internal"))]  # noqa: N806 - a type

    @routes.get(
        "/v1/routes/windows/proposed", summary="Send windows to look at, with their sources, before putting them"
    )
    async def proposed(_: Operator) -> Told:
        return proposed_windows()

    @routes.get("/v1/senders/owner", summary="Whose is a message from a handset to this number, by its first word?")
    async def owner(_: Operator, recipient: str, word: str = "") -> Told:
        return {"tenant": store.rules.senders.owner_of(recipient, word)}

    @routes.get("/internal/v1/senders/owners", include_in_schema=False)
    async def owners(_: Internal) -> Told:
        return {"owners": store.rules.senders.owners()}

    for kind, path in sorted(PATHS.items(), key=lambda item: -len(item[1])):
        _add(routes, kind, path, tokens, carriers, store)
    return routes


def _add(routes: APIRouter, kind: str, path: str, tokens: Tokens, carriers: CarriersStore, store: RulesStore) -> None:
    Operator = Annotated[Caller, Depends(caller_with(tokens, "operate"))]  # noqa: N806 - a type
    words = _WORDS[kind]

    def check(body: object) -> Any:
        try:
            return checked(kind, body, carriers.tariff, store.plan)
        except TroublesError as error:
            raise problem_of(f"invalid_{kind}", error.troubles) from error

    async def put_in_force(version: int, caller: Caller) -> Told:
        try:
            check(await store.body(kind, version))  # carriers and prices may have changed since it was put
        except NoSuchVersionError as error:
            raise ProblemError(404, "not_found", str(error)) from error
        await store.activate(kind, version, caller.key_id)
        return {"version": version, "in_force": True}

    @routes.put(path, summary=f"Put {words}: checked whole, then in force within two seconds, unless activate=false")
    async def put(request: Request, caller: Operator, activate: bool = True) -> Told:
        body = check(await json_of(request))
        version = await store.put(kind, body, caller.key_id, activate=activate)
        return {"version": version, "in_force": activate}

    @routes.post(f"{path}/validate", summary=f"Would these {words} be taken?")
    async def validate(request: Request, _: Operator) -> Told:
        check(await json_of(request))
        return {"valid": True}

    @routes.get(path, summary=f"The {words} in force, or those of a version")
    async def get(_: Operator, version: int | None = None) -> Told:
        wanted = store.rules.versions[kind] if version is None else version
        if wanted == 0:
            return {"version": 0, "in_force": True}
        try:
            body = await store.body(kind, wanted)
        except NoSuchVersionError as error:
            raise ProblemError(404, "not_found", str(error)) from error
        return {"version": wanted, "in_force": wanted == store.rules.versions[kind], **body}

    @routes.get(f"{path}/versions", summary=f"All versions of the {words}, newest first")
    async def versions(_: Operator) -> Told:
        return {"versions": [found._asdict() for found in await store.versions(kind)]}

    @routes.post(f"{path}/versions/{{version}}/activate", summary=f"Put a version of the {words} in force")
    async def activate_version(version: int, caller: Operator) -> Told:
        return await put_in_force(version, caller)

    @routes.post(f"{path}/rollback", summary=f"Put the {words} in force that were so before")
    async def rollback(caller: Operator) -> Told:
        try:
            version = await store.before(kind)
        except NoSuchVersionError as error:
            raise ProblemError(409, "nothing_before", str(error)) from error
        return await put_in_force(version, caller)

"""/openapi.json: ingest's own operations and those of the services behind it, fetched when somebody asks."""

import asyncio
import time
from typing import Any

import aiohttp
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from shared.telemetry.logs import logger

from ingest.adapters.forwarder import Forwarder
from ingest.adapters.http import documents as docs
from ingest.adapters.http.raw import answer
from ingest.domain.merge_openapi import merge
from ingest.domain.owners import Owner, documented_owner

KEPT_S = 60.0
KEPT_INCOMPLETE_S = 5.0  # while an owner has never answered
PATH = "/openapi.json"


class OpenApi:
    def __init__(self, app: FastAPI, forwarder: Forwarder) -> None:
        self._app, self._forwarder = app, forwarder
        self._known: dict[str, Any] = {}  # the last document of each owner: still true when it is away
        self._merged: dict[str, Any] | None = None
        self._until = 0.0
        self._lock = asyncio.Lock()
        self._log = logger(part="openapi")

    async def document(self) -> dict[str, Any]:
        async with self._lock:
            if self._merged is None or time.monotonic() >= self._until:
                await asyncio.gather(*(self._fetch(owner) for owner in Owner))
                self._merged = merge(self._own(), self._known, documented_owner)
                missing = sorted(set(Owner) - self._known.keys())
                if missing:
                    self._merged["x-relais-away"] = missing  # whose operations this document lacks
                self._until = time.monotonic() + (KEPT_INCOMPLETE_S if missing else KEPT_S)
            return self._merged

    async def _fetch(self, owner: Owner) -> None:
        try:
            found = await self._forwarder.document(owner)
            if isinstance(found, dict):
                self._known[owner.value] = found
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._log.info("an owner's OpenAPI document is not to be had", owner=owner, error=type(error).__name__)

    def _own(self) -> dict[str, Any]:
        own = get_openapi(
            title="Relais", version=self._app.version, description=docs.DESCRIPTION, routes=self._app.routes
        )
        components = own.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **docs.SCHEMAS}
        components["securitySchemes"] = docs.SECURITY_SCHEMES
        own["security"] = [{"key": []}]
        return own


def add_openapi(app: FastAPI, openapi: OpenApi) -> None:
    """Takes the place of FastAPI's own route, which knows ingest alone."""
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", None) != PATH]

    async def document(_: Request) -> Response:
        return answer(await openapi.document())

    app.router.add_route(PATH, document, methods=["GET"], include_in_schema=False)

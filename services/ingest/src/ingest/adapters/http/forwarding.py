"""Everything under /v1 that ingest does not own."""

from fastapi import FastAPI, Request, Response
from shared.http.problems import ProblemError

from ingest.adapters.forwarder import Forwarder
from ingest.adapters.http.door import Door
from ingest.adapters.http.measure import ROUTE
from ingest.domain.owners import BadPathError, rule_of, segments_of

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def add_forwarding(app: FastAPI, door: Door, forwarder: Forwarder) -> None:
    """Added after every route of ingest's own: the first that fits answers."""

    async def forward(request: Request) -> Response:
        stored = await door.caller(request)
        try:
            segments = segments_of(request.scope["raw_path"].partition(b"?")[0].decode("ascii", "replace"))
        except BadPathError as error:
            raise ProblemError(400, "bad_path", str(error)) from error
        rule = rule_of(request.method, segments)
        if rule is None:
            raise ProblemError(404, "not_found", "there is no such path")
        request.scope[ROUTE] = f"/v1/{segments[1]}"
        headers = door.within_limits(stored, 1)
        answer = await forwarder.forward(request, stored.caller, rule)
        answer.raw_headers.extend((name.lower().encode(), value.encode()) for name, value in headers.items())
        return answer

    app.router.add_route("/v1/{path:path}", forward, methods=METHODS, include_in_schema=False)

"""The simulator's control API: HTTP and JSON on loopback, without authentication, for tests and demonstrations.

No number or text appears in a path, a query, a log or an error.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from console.smsc.inbound_message import Alphabet
from console.smsc.script import ScriptError

if TYPE_CHECKING:
    from console.smsc.smsc import Smsc

M = TypeVar("M", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SHUTDOWN_S = 0.2
_LONGEST_HISTORY_ANSWER = 1_000_000


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class _Inbound(_Body):
    source: str
    destination: str
    text: str
    alphabet: Alphabet = "auto"
    split: bool = True
    reference_bits: Literal[8, 16] = 8
    reversed_parts: bool = False
    account: str = ""


class _Drop(_Body):
    how: Literal["abort", "close", "unbind"] = "abort"
    session: int | None = None


class _Do(_Body):
    do: str


class _Pause(_Body):
    deaf: bool = False


async def start_control(smsc: "Smsc", port: int) -> tuple[web.AppRunner, int]:
    """Serve the API on a loopback port (0: a free one). Returns the runner to clean up, and the port."""
    runner = web.AppRunner(_application(smsc), access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, int(runner.addresses[0][1])


def _application(smsc: "Smsc") -> web.Application:
    async def health(_: web.Request) -> web.Response:
        return web.json_response({"ok": True, "port": smsc.port})

    async def counters(_: web.Request) -> web.Response:
        counted = {"history_first": smsc.history.first, "history_next": len(smsc.history)}
        return web.json_response(smsc.counters.as_dict() | smsc.waiting() | counted)

    async def sessions(_: web.Request) -> web.Response:
        return web.json_response({"sessions": smsc.sessions()})

    async def read_behaviour(_: web.Request) -> web.Response:
        return web.json_response(smsc.behaviour.model_dump(mode="json"))

    async def change_behaviour(request: web.Request) -> web.Response:
        changes = await _json(request)
        smsc.set_behaviour(smsc.behaviour.changed(changes))
        return web.json_response(smsc.behaviour.model_dump(mode="json"))

    async def inbound(request: web.Request) -> web.Response:
        raw = await _json(request)
        names = {"from": "source", "to": "destination"}
        message = _Inbound.model_validate({names.get(name, name): value for name, value in raw.items()})
        return web.json_response({"parts": smsc.inject(**message.model_dump())}, status=202)

    async def drop_links(request: web.Request) -> web.Response:
        wanted = _Drop.model_validate(await _json(request))
        return web.json_response({"dropped": smsc.drop_links(wanted.how, wanted.session)})

    async def pause_responses(request: web.Request) -> web.Response:
        smsc.pause_responses(_Pause.model_validate(await _json(request)).deaf)
        return web.json_response({"paused": True})

    async def resume_responses(_: web.Request) -> web.Response:
        smsc.resume_responses()
        return web.json_response({"paused": False})

    async def stop_listening(_: web.Request) -> web.Response:
        await smsc.stop_listening()
        return web.json_response({"listening": False})

    async def start_listening(_: web.Request) -> web.Response:
        await smsc.start_listening()
        return web.json_response({"listening": True})

    async def history(request: web.Request) -> web.StreamResponse:
        return await _ndjson(request, smsc.history.ndjson)

    async def acts(request: web.Request) -> web.StreamResponse:
        return await _ndjson(request, smsc.acts.ndjson)

    async def perform(request: web.Request) -> web.Response:
        wanted = _Do.model_validate(await _json(request))
        try:
            smsc.perform(wanted.do)
        except ScriptError as error:
            raise ValueError(f"do: {error.remedy}") from None
        return web.json_response({"acts": len(smsc.acts)}, status=202)

    async def script(_: web.Request) -> web.Response:
        running = smsc.script
        if running is None:
            return web.json_response({"name": None, "about": None, "acts": 0})
        return web.json_response({"name": running.name, "about": running.about, "acts": len(smsc.acts)})

    application = web.Application(middlewares=[_explain_refusals])
    application.add_routes(
        [
            web.get("/health", health),
            web.get("/counters", counters),
            web.get("/sessions", sessions),
            web.get("/behaviour", read_behaviour),
            web.patch("/behaviour", change_behaviour),
            web.post("/inbound", inbound),
            web.post("/links/drop", drop_links),
            web.post("/responses/pause", pause_responses),
            web.post("/responses/resume", resume_responses),
            web.post("/listener/stop", stop_listening),
            web.post("/listener/start", start_listening),
            web.get("/history", history),
            web.get("/acts", acts),
            web.post("/acts", perform),
            web.get("/script", script),
        ]
    )
    return application


async def _ndjson(request: web.Request, rows: Callable[[int, int], Iterator[bytes]]) -> web.StreamResponse:
    since = int(request.query.get("since", "0"))
    limit = int(request.query.get("limit", str(_LONGEST_HISTORY_ANSWER)))
    if since < 0 or limit < 0:
        raise ValueError("since and limit must not be negative")
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for piece in rows(since, limit):
        await response.write(piece)
    await response.write_eof()
    return response


async def _json(request: web.Request) -> dict[str, Any]:
    body = json.loads(await request.read() or b"{}")
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


@web.middleware
async def _explain_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a caller got wrong into a 422 that repeats none of the caller's values."""
    try:
        return await handler(request)
    except ValidationError as error:
        reasons = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False, include_context=False)
        ]
    except json.JSONDecodeError:
        reasons = ["the body is not JSON"]
    except UnicodeError:
        reasons = ["an address or the body has characters that cannot be sent"]
    except ValueError as error:
        reasons = [str(error)]
    return web.json_response({"errors": reasons}, status=422)

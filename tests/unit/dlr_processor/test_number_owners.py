"""The owners of short codes are asked of the router, and hold while it is away."""

import aiohttp
import pytest
from aiohttp import web
from dlr_processor.adapters.number_owners import PATH, NumberOwners
from shared.clock import now_ms
from shared.crypto.tokens import Tokens


async def test_what_the_router_said_last_holds_while_it_is_away() -> None:
    asked: list[bool] = []
    tokens = Tokens("secret")

    async def answer(request: web.Request) -> web.Response:
        caller = tokens.verify(request.headers["Authorization"].removeprefix("Bearer "))
        asked.append(caller.may("internal"))
        return web.json_response({"owners": {"36180": "acme"}}) if len(asked) == 1 else web.Response(status=503)

    app = web.Application()
    app.router.add_get(PATH, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    owners = NumberOwners(tokens, f"http://127.0.0.1:{runner.addresses[0][1]}/", "dlr-processor", now_ms)
    try:
        async with aiohttp.ClientSession() as session:
            assert owners.of("36180") is None
            await owners.refresh(session)
            with pytest.raises(aiohttp.ClientResponseError):
                await owners.refresh(session)
    finally:
        await runner.cleanup()
    assert owners.of("36180") == "acme"
    assert owners.of("36181") is None
    assert asked == [True, True]

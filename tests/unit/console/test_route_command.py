"""`relais route`."""

from typing import Any

import pytest
import typer
from aiohttp import web
from aiohttp.test_utils import TestServer
from console import route_command
from console.cli import app
from typer.testing import CliRunner

ANSWER: dict[str, Any] = {
    "country": "FR", "network": "20801", "rule": "fr", "outcome": "send", "carrier": "iris", "cost": "0.050",
    "limits": [], "versions": "prices=7 routes=3", "sender": {"used": None, "refused": None, "replaced": None},
    "candidates": [{"carrier": "iris", "step": 1, "cost": "0.050", "currency": "EUR", "matched": "33", "health": "up",
                    "quality": {"low": 0.9, "high": 0.95, "outcomes": 100}, "result": "won"}],
}  # fmt: skip


@pytest.mark.parametrize(("span", "seconds"), [("30m", 1800), ("24h", 86_400), ("3d", 259_200), ("5s", 5)])
def test_a_span_is_read_as_seconds(span: str, seconds: int) -> None:
    assert route_command.seconds_of(span) == seconds


def test_a_span_without_a_unit_is_refused() -> None:
    with pytest.raises(typer.BadParameter):
        route_command.seconds_of("24")


async def test_the_api_is_asked_with_the_key() -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], await request.json()))
        return web.json_response(ANSWER)

    server = web.Application()
    server.router.add_post("/v1/routes/explain", answer)
    async with TestServer(server) as running:
        told = await route_command._post(str(running.make_url("/")), "secret", "/v1/routes/explain", {"to": "+336"})
    assert told == ANSWER
    assert seen == [("Bearer secret", {"to": "+336"})]


def test_an_explanation_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    async def post(*_: Any) -> Any:
        return ANSWER

    monkeypatch.setattr(route_command, "_post", post)
    found = CliRunner().invoke(app, ["route", "explain", "+33612345678", "--api", "http://x", "--key", "k"])
    assert found.exit_code == 0
    assert "send iris 0.050 (FR, network 20801; rule fr; prices=7 routes=3)" in found.output.replace("\n", " ")
    assert "90.0% to 95.0%" in found.output


def test_an_api_that_is_away_is_a_sentence() -> None:
    found = CliRunner().invoke(app, ["route", "explain", "+33612345678", "--api", "http://127.0.0.1:1", "--key", "k"])
    assert found.exit_code == 1
    assert "the API does not answer" in found.output

"""What the router tells the segmenter of send windows."""

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from router.adapters.http import make_routes
from router.domain.windows import check_windows, compile_windows

HOUR = 3_600_000
NOW = 1_750_000_000_000  # Sunday 2025-06-15 15:06:40 UTC
BOOK = check_windows(
    {"windows": [{"id": "fr", "country": "FR", "zones": ["Europe/Paris"], "class": ["marketing"],
                  "days": {day: ["08:00-20:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat")}}]}
)  # fmt: skip


class Asked:
    """A request as far as its body is read."""

    def __init__(self, body: Any) -> None:
        self._body = json.dumps(body).encode()

    async def stream(self) -> AsyncIterator[bytes]:
        yield self._body


async def ask(path: str) -> Any:
    rules = SimpleNamespace(rules=SimpleNamespace(windows=compile_windows(1, BOOK)))
    nobody: Any = SimpleNamespace(verify=None)
    picture: Any = SimpleNamespace(rules=rules, health=None)
    routes = make_routes(nobody, nobody, picture, nobody, nobody, lambda: NOW)
    [endpoint] = [route.endpoint for route in routes.routes if route.path == path]  # type: ignore[attr-defined]
    places = [["FR", "Europe/Paris"], ["FR", None], ["BE", "Europe/Brussels"]]
    return await endpoint(Asked({"tenant": "acme", "purpose": "marketing", "places": places}), None)


async def test_a_closed_window_answers_with_the_moment_when_it_opens_and_an_open_one_with_now() -> None:
    monday_at_8 = 1_750_053_600_000
    assert await ask("/internal/v1/openings") == [monday_at_8, monday_at_8, NOW]


async def test_the_open_spans_of_a_week_are_told_in_order() -> None:
    paris, _, belgium = await ask("/internal/v1/open-spans")
    assert belgium == [(NOW, NOW + 7 * 24 * HOUR)]
    assert [opens for opens, _ in paris] == [1_750_053_600_000 + day * 24 * HOUR for day in range(6)]
    assert all(shuts - opens == 12 * HOUR for opens, shuts in paris)

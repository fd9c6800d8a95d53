"""GET /l/{code}: the redirect, answered before FastAPI and without the database.

A code proves itself, its link is in memory, and the click is put down without waiting: nothing here awaits anything,
but for a link that another process made within the last second.
"""

from typing import Final
from uuid import uuid4

from shared.clock import Clock
from shared.contracts.events import LinkClicked
from shared.errors import RetryLaterError
from shared.links.codes import NOBODY, LinkCodes
from shared.links.texts import PATH
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.adapters.click_log import ClickLog
from ingest.adapters.http.measure import ROUTE
from ingest.adapters.link_store import LinksInMemory
from ingest.domain.links import Link, is_served_at, leads_to
from ingest.domain.visitors import visitor_of

_ROUTE: Final = "/l/{code}"
# A redirect kept by a browser or a proxy would be a click that nobody hears of. Codes say who clicks: keep them here.
_COMMON: Final = (
    (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"), (b"x-robots-tag", b"noindex, nofollow"),
    (b"content-length", b"0"),
)  # fmt: skip


class Edge:
    """What a visit needs."""

    def __init__(self, codes: LinkCodes, links: LinksInMemory, clicks: ClickLog, clock: Clock) -> None:
        self.codes, self.links, self._clicks, self._clock = codes, links, clicks, clock

    async def visit(self, method: str, code: str, headers: dict[str, str]) -> tuple[int, str | None]:
        """Status and location: 302; 404 for no code of ours; 410 for a link that ended; 503 when it cannot be known."""
        named = self.codes.read(code)
        if named is None:
            return 404, None
        link = self.links.known(named.link)
        if link is None:
            try:
                link = await self.links.look(named.link)
            except RetryLaterError:
                return 503, None
        host = headers.get("host", "").lower().partition(":")[0]
        if link is None or not is_served_at(link, host, self.links.domains):
            return 404, None
        now = self._clock()
        visitor = visitor_of(method, headers)
        target = leads_to(link, visitor.platform, now)
        if target is None:
            return 410, None
        self._clicks.put(clicked(link, code, named.recipient, visitor.human, visitor.agent, now))
        return 302, target


def clicked(link: Link, code: str, recipient: int, human: bool, agent: str, now: int) -> LinkClicked:
    return LinkClicked(
        event_id=uuid4().hex, tenant_id=link.tenant_id, occurred_at=now, code=code, link_id=link.link_id,
        campaign_id=link.campaign_id, recipient=recipient if recipient != NOBODY else None, human=human, agent=agent,
    )  # fmt: skip


class LinkRoad:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app, self._edge = app, edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        scope[ROUTE] = _ROUTE
        status, target = 405, None
        if scope["method"] in ("GET", "HEAD"):
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            status, target = await self._edge.visit(scope["method"], scope["path"][len(PATH) :], headers)
        more: list[tuple[bytes, bytes]] = []
        if target is not None:
            more.append((b"location", target.encode("latin-1")))
        elif status == 503:
            more.append((b"retry-after", b"1"))
        elif status == 405:
            more.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": [*_COMMON, *more]})
        await send({"type": "http.response.body", "body": b""})

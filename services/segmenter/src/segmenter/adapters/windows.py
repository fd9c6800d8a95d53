"""Which people's send windows are closed: asked of the router, which owns them."""

from collections.abc import Iterable
from typing import Final, TypeVar

import aiohttp
import msgspec
from shared.clock import Clock
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller, Tokens
from shared.errors import RetryLaterError

from segmenter.domain.when_finished import Span

FRESH_MS: Final = 10_000  # an operator's new window is heeded within this
T = TypeVar("T")
Place = tuple[str, str | None]  # country and zone


class Windows:
    def __init__(self, router_url: str, tokens: Tokens, clock: Clock) -> None:
        self._url = router_url.rstrip("/") + "/internal/v1/"
        self._tokens, self._clock = tokens, clock
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[tuple[str, str, Place], tuple[int, int]] = {}  # asked at, opens at

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def closed(self, tenant: str, purpose: str, places: Iterable[Place], now: int) -> dict[Place, int]:
        """The places whose window is closed, with the moment (ms UTC) when it opens. RetryLaterError while the router is away."""
        wanted = set(places)
        missing = [p for p in wanted if self._known.get((tenant, purpose, p), (-FRESH_MS, 0))[0] <= now - FRESH_MS]
        if missing:
            if len(self._known) > 10_000:
                self._known.clear()
            for place, opens in zip(
                missing, await self._ask("openings", tenant, purpose, missing, list[int]), strict=True
            ):
                self._known[tenant, purpose, place] = (now, opens)
        opens_at = {place: self._known[tenant, purpose, place][1] for place in wanted}
        return {place: at for place, at in opens_at.items() if at > now}

    async def spans(self, tenant: str, purpose: str, places: list[Place]) -> list[list[Span]] | None:
        """When each place is open in the coming week; None while the router is away."""
        try:
            return await self._ask("open-spans", tenant, purpose, places, list[list[Span]])
        except RetryLaterError:
            return None

    async def _ask(self, what: str, tenant: str, purpose: str, places: list[Place], kind: type[T]) -> T:
        assert self._session is not None, "open() comes first"
        caller = Caller(SYSTEM_TENANT, frozenset({"internal"}), "segmenter")
        headers = {"Authorization": f"Bearer {self._tokens.sign(caller, self._clock() // 1000)}"}
        body = msgspec.json.encode({"tenant": tenant, "purpose": purpose, "places": places})
        try:
            async with self._session.post(self._url + what, data=body, headers=headers) as response:
                if response.status != 200:
                    raise RetryLaterError(f"the router answered {response.status} for its windows")
                return msgspec.json.decode(await response.read(), type=kind)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            raise RetryLaterError("the router does not tell its windows") from error

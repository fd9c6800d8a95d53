"""The router's price list, for estimates. An estimate without prices is still an estimate, so a router that is away
costs nothing but the costs."""

from decimal import Decimal, InvalidOperation

import aiohttp
import msgspec
from msgspec import Struct
from shared.clock import Clock
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller, Tokens

from segmenter.domain.country_costs import Price

FRESH_MS = 10_000


class _Row(Struct):
    carrier: str
    prefix: str
    price: str
    currency: str


class _Answer(Struct):
    prices: list[_Row]


class Prices:
    def __init__(self, router_url: str, tokens: Tokens, clock: Clock) -> None:
        self._url = router_url.rstrip("/") + "/v1/prices"
        self._tokens, self._clock = tokens, clock
        self._session: aiohttp.ClientSession | None = None
        self._held: list[tuple[str, Price]] = []
        self._asked_at = -FRESH_MS

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def current(self) -> list[tuple[str, Price]] | None:
        """(carrier, price), at most ten seconds old; None while the router does not tell them."""
        now = self._clock()
        if now - self._asked_at < FRESH_MS:
            return self._held
        assert self._session is not None, "open() comes first"
        caller = Caller(SYSTEM_TENANT, frozenset({"operate"}), "segmenter")
        headers = {"Authorization": f"Bearer {self._tokens.sign(caller, now // 1000)}"}
        try:
            async with self._session.get(self._url, headers=headers) as response:
                if response.status != 200:
                    return None
                rows = msgspec.json.decode(await response.read(), type=_Answer).prices
            self._held = [(r.carrier, Price(r.prefix, Decimal(r.price), r.currency)) for r in rows]
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, InvalidOperation):
            return None
        self._asked_at = now
        return self._held

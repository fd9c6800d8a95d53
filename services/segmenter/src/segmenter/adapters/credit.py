"""How much may be released now: asked of the router, which knows its carriers' rates and what waits (promise 6)."""

import aiohttp
import msgspec
from shared.clock import Clock
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller, Tokens
from shared.errors import RetryLaterError

FRESH_MS = 1000  # one answer serves this long, less what was released since
WAIT_S = 1.0


class _Answer(msgspec.Struct):
    messages: int
    rate: float = 0.0


class Credit:
    """One a process; replicas may together exceed it by what they have in hand."""

    def __init__(self, router_url: str, tokens: Tokens, clock: Clock) -> None:
        self._url = router_url.rstrip("/") + "/internal/v1/credit"
        self._tokens, self._clock = tokens, clock
        self._session: aiohttp.ClientSession | None = None
        self._left, self._asked_at, self._rate = 0, -FRESH_MS, 0.0

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def take(self, messages: int) -> None:
        """Returns when this many may go on. RetryLaterError while there is no room, or the router is away."""
        now = self._clock()
        if now - self._asked_at >= FRESH_MS or self._left <= 0:
            self._left, self._asked_at = await self._ask(now), now
        if self._left <= 0:
            raise RetryLaterError("the carriers have enough to do: nothing more is released now", after_s=WAIT_S)
        self._left -= messages

    async def rate(self) -> float | None:
        """Parts a second that all carriers take together; None while the router is away."""
        try:
            await self._ask(self._clock())
        except RetryLaterError:
            return None
        return self._rate

    async def _ask(self, now: int) -> int:
        assert self._session is not None, "open() comes first"
        caller = Caller(SYSTEM_TENANT, frozenset({"internal"}), "segmenter")
        headers = {"Authorization": f"Bearer {self._tokens.sign(caller, now // 1000)}"}
        try:
            async with self._session.get(self._url, headers=headers) as response:
                if response.status != 200:
                    raise RetryLaterError(f"the router answered {response.status} for its credit", after_s=WAIT_S)
                told = msgspec.json.decode(await response.read(), type=_Answer)
                self._rate = told.rate
                return told.messages
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            raise RetryLaterError("the router does not tell its credit", after_s=WAIT_S) from error

"""How much may be released now, for each tenant: asked of the router, which knows its carriers' rates and what waits (promise 6)."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from shared.clock import Clock
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller, Tokens
from shared.errors import RetryLaterError

FRESH_MS = 1000  # one answer serves this long, less what was released since
WAIT_S = 1.0
ASK_AHEAD = 2_000  # so many are asked for at once: a batch or two, so that not every batch asks


class _Answer(msgspec.Struct):
    granted: dict[str, int]


class _Room(msgspec.Struct):
    rate: float


class Credit:
    """One a process. A batch may exceed what is left for its tenant, once."""

    def __init__(self, router_url: str, tokens: Tokens, clock: Clock) -> None:
        self._url = router_url.rstrip("/") + "/internal/v1/credit"
        self._tokens, self._clock = tokens, clock
        self._session: aiohttp.ClientSession | None = None
        self._left: dict[str, tuple[int, int]] = {}  # tenant to what it may still release, and when that was told

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def take(self, wants: Mapping[str, int]) -> frozenset[str]:
        """Which of the tenants may go on with so many messages. RetryLaterError while the router is away."""
        now = self._clock()
        short = {tenant: max(count, ASK_AHEAD) for tenant, count in wants.items() if self._of(tenant, now) <= 0}
        if short:
            granted = await self._ask(short, now)
            self._left.update({tenant: (granted.get(tenant, 0), now) for tenant in short})
        going = frozenset(tenant for tenant in wants if self._of(tenant, now) > 0)
        for tenant in going:
            left, told_at = self._left[tenant]
            self._left[tenant] = left - wants[tenant], told_at
        return going

    def _of(self, tenant: str, now: int) -> int:
        left, told_at = self._left.get(tenant, (0, now))
        return left if now - told_at < FRESH_MS else 0

    async def rate(self) -> float | None:
        """Parts a second that all carriers take together; None while the router is away."""
        try:
            return msgspec.json.decode(await self._call("GET", self._clock()), type=_Room).rate
        except (RetryLaterError, msgspec.MsgspecError):
            return None

    async def _ask(self, wants: Mapping[str, int], now: int) -> dict[str, int]:
        try:
            return msgspec.json.decode(await self._call("POST", now, {"wants": dict(wants)}), type=_Answer).granted
        except msgspec.MsgspecError as error:
            raise RetryLaterError("the router does not tell its credit", after_s=WAIT_S) from error

    async def _call(self, method: str, now: int, body: Any = None) -> bytes:
        assert self._session is not None, "open() comes first"
        caller = Caller(SYSTEM_TENANT, frozenset({"internal"}), "segmenter")
        headers = {"Authorization": f"Bearer {self._tokens.sign(caller, now // 1000)}"}
        try:
            async with self._session.request(method, self._url, json=body, headers=headers) as response:
                if response.status != 200:
                    raise RetryLaterError(f"the router answered {response.status} for its credit", after_s=WAIT_S)
                return await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RetryLaterError("the router does not tell its credit", after_s=WAIT_S) from error

"""How a run's variants fare: asked of analytics, which alone knows clicks of people and conversions."""

import aiohttp
import msgspec
from shared.clock import Clock
from shared.crypto.tokens import Caller, Tokens
from shared.errors import RetryLaterError

from segmenter.domain.optimise import Answers, By


class AnswerBook:
    def __init__(self, analytics_url: str, tokens: Tokens, clock: Clock) -> None:
        self._url, self._tokens, self._clock = analytics_url.rstrip("/"), tokens, clock
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def of(self, tenant: str, campaign: str, run: str, by: By) -> dict[str, Answers]:
        """By variant. RetryLaterError while analytics does not tell."""
        assert self._session is not None, "open() comes first"
        caller = Caller(tenant, frozenset({"reports:read"}), "segmenter")
        headers = {"Authorization": f"Bearer {self._tokens.sign(caller, self._clock() // 1000)}"}
        url = f"{self._url}/v1/campaigns/{campaign}/report/experiment"
        try:
            async with self._session.get(url, params={"run": run, "measure": by}, headers=headers) as response:
                if response.status != 200:
                    raise RetryLaterError(f"analytics answered {response.status} for a campaign's variants")
                told = msgspec.json.decode(await response.read())["variants"]
            return {name: Answers(int(arm["messages"]), int(arm[by])) for name, arm in told.items()}
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, KeyError, TypeError) as error:
            raise RetryLaterError("analytics does not tell how a campaign's variants fare") from error

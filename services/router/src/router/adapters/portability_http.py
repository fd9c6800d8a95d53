"""Portability by HTTP: one POST for a batch of numbers, answered with their networks.

`{"numbers": ["+33612345678"]}` is answered by `{"networks": {"+33612345678": "20810"}}`; null, or a number left out, is one
that the service knows nothing of. A provider with another shape gets a small adapter of its own in front.
"""

from collections.abc import Sequence

import aiohttp
import msgspec

from router.domain.portability import SourceError

AT_ONCE = 500


class _Answer(msgspec.Struct):
    networks: dict[str, str | None]


class HttpPortability:
    """A `PortabilitySource`."""

    name = "http"

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=10))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def look_up(self, numbers: Sequence[str], found: dict[str, str | None]) -> None:
        assert self._session is not None, "open() comes first"
        for start in range(0, len(numbers), AT_ONCE):
            asked = numbers[start : start + AT_ONCE]
            try:
                async with self._session.post(self._url, json={"numbers": list(asked)}) as response:
                    if response.status != 200:
                        raise SourceError(f"answered {response.status}")
                    told = msgspec.json.decode(await response.read(), type=_Answer).networks
            except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
                raise SourceError(type(error).__name__) from error
            found.update({number: told.get(number) for number in asked})

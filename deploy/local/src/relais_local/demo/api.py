"""The public API as the demo uses it: like any caller, with the key and nothing else."""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from relais_local.errors import LocalStackError

BATCHES_AT_ONCE = 3
TRIES = 5


class Api:
    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._client = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=60)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def call(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        """The decoded answer; None for a 404 when `missing` allows it. All calls of the demo may be repeated.

        Raises LocalStackError for any other refusal, with the problem's own words.
        """
        trouble = ""
        for attempt in range(TRIES):
            try:
                async with self._client.request(method, f"{self._address}/v1{path}", json=body) as answer:
                    if answer.status < 300:
                        return await answer.json() if answer.content_type.endswith("json") else None
                    if answer.status == 404 and missing:
                        return None
                    trouble = f"{answer.status} {(await answer.text())[:400]}"
                    if answer.status < 500 and answer.status != 429:
                        break
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = repr(error)
            await asyncio.sleep(0.2 * 2**attempt)
        raise LocalStackError(f"{method} /v1{path} was refused: {trouble}.")

    async def post_batches(self, path: str, name: str, batches: Iterable[Sequence[Any]]) -> None:
        """POST `{name: batch}` for every batch, a few at once."""
        gate = asyncio.Semaphore(BATCHES_AT_ONCE)

        async def post(batch: Sequence[Any]) -> None:
            async with gate:
                await self.call("POST", path, {name: list(batch)})

        async with asyncio.TaskGroup() as group:
            for batch in batches:
                group.create_task(post(batch))

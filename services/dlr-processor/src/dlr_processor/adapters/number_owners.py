"""Whose short codes and long numbers are, as the router's book of senders says. Asked now and then, kept in memory."""

import asyncio

import aiohttp
import msgspec
from shared.clock import Clock
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import Caller, Tokens
from shared.telemetry.logs import logger

PATH = "/internal/v1/senders/owners"
PERIOD_S = 10.0


class _Answer(msgspec.Struct):
    owners: dict[str, str]


class NumberOwners:
    """While the router is away what it said last holds; before its first word nobody owns any number."""

    def __init__(self, tokens: Tokens, router_url: str, service: str, clock: Clock) -> None:
        self._tokens, self._url, self._service, self._clock = tokens, router_url.rstrip("/") + PATH, service, clock
        self._owners: dict[str, str] = {}
        self._log = logger(part="number owners")

    def of(self, recipient: str) -> str | None:
        return self._owners.get(recipient)

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                try:
                    await self.refresh(session)
                except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
                    self._log.warning("the owners of numbers are not refreshed", error=type(error).__name__)
                await asyncio.sleep(PERIOD_S)

    async def refresh(self, session: aiohttp.ClientSession) -> None:
        caller = Caller(SYSTEM_TENANT, frozenset({"internal"}), self._service)
        headers = {"Authorization": f"Bearer {self._tokens.sign(caller, self._clock() // 1000)}"}
        async with session.get(self._url, headers=headers) as response:
            response.raise_for_status()
            self._owners = msgspec.json.decode(await response.read(), type=_Answer).owners

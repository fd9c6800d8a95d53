"""One callback over HTTP: signed, to a public address only, and with everything that a receiver might do bounded."""

import asyncio
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks.webhooks import Webhook

from dlr_processor.domain.addresses import may_call, trouble_with
from dlr_processor.domain.shapes import Call

TIMEOUT_S = 10.0
MOST_BYTES = 16 * 1024  # of an answer nobody reads; the connection of one that says more is closed
CONNECTIONS = 200


class RefusedAddressError(OSError):
    """The receiver's name leads to an address that callbacks may not go to."""


class GuardedResolver(AbstractResolver):
    """Resolves a name once for each connection and hands on only addresses that may be called; the connection is made
    to exactly these, so that a second answer of the name server changes nothing (DNS rebinding)."""

    def __init__(self, *, allow_loopback: bool) -> None:
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        found = []
        for found_family, _, proto, _, address in infos:
            if may_call(str(address[0]), allow_loopback=self._allow_loopback):
                found.append(
                    ResolveResult(
                        hostname=host, host=str(address[0]), port=int(address[1]), family=found_family, proto=proto,
                        flags=socket.AI_NUMERICHOST,
                    )
                )  # fmt: skip
        if not found:
            raise RefusedAddressError("the receiver's name leads to no address of the public internet")
        return found

    async def close(self) -> None:
        return None


class CallbackPoster:
    """Sends callbacks. `post` answers what became of one: `delivered`, `retry`, `given_up` or `refused`."""

    def __init__(self, *, allow_loopback: bool, timeout_s: float = TIMEOUT_S) -> None:
        self._allow_loopback, self._timeout_s = allow_loopback, timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(allow_loopback=self._allow_loopback), limit=CONNECTIONS, ttl_dns_cache=30
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small answer that unpacks to a large one stays small
            headers={"User-Agent": "Relais"},
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, call: Call, secrets: Sequence[str], now_s: float) -> str:
        if self._session is None:
            raise RuntimeError("the poster is not open")
        if _trouble(call.url, allow_loopback=self._allow_loopback) is not None:
            return "refused"
        headers = call.headers | signed(call.webhook_id, call.body, secrets, now_s)
        try:
            async with self._session.request(
                call.method, call.url, data=call.body.encode() or None, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
                said = await _said(answer)
                if len(said) >= MOST_BYTES:
                    answer.close()
        except aiohttp.InvalidURL:
            return "refused"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return "refused" if _refused(error) else "retry"
        if 200 <= status < 300:
            return "delivered" if call.ack is None or call.ack in said else "retry"
        return "given_up" if status == 410 else "retry"  # 410: the receiver wants no more of it


_trouble = lru_cache(4096)(trouble_with)  # a receiver has one address and many callbacks


def signed(webhook_id: str, body: str, secrets: Sequence[str], now_s: float) -> dict[str, str]:
    """Standard Webhooks' headers; a signature for each secret while two overlap."""
    moment = datetime.fromtimestamp(int(now_s), UTC)
    signatures = [Webhook(secret).sign(webhook_id, moment, body) for secret in secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now_s)),
        "webhook-signature": " ".join(signatures),
    }


async def _said(answer: aiohttp.ClientResponse) -> bytes:
    """The first MOST_BYTES of an answer."""
    said = b""
    while len(said) < MOST_BYTES and (chunk := await answer.content.read(MOST_BYTES - len(said))):
        said += chunk
    return said


def _refused(error: BaseException | None) -> bool:
    seen: Any = error
    while seen is not None:
        if isinstance(seen, RefusedAddressError) or isinstance(getattr(seen, "os_error", None), RefusedAddressError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False

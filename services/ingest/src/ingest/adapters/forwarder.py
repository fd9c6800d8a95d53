"""Carries requests to their owners and answers back: streaming both ways, uploads apart from everything else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from fastapi import Request, Response
from shared.clock import Clock
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.tokens import LIFE_S, Caller, Tokens
from shared.errors import RetryLaterError
from shared.http.problems import ProblemError, response_of
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from yarl import URL

from ingest.adapters.http.raw import too_large
from ingest.domain.forwarded_headers import inward, outward
from ingest.domain.owners import Owner, Rule

LIGHT_AT_ONCE = 256
LIGHT_BYTES = 8 * 1024 * 1024
WAIT_FOR_TURN_S = 5.0
SMALL_BYTES = 256 * 1024  # bodies up to here are passed in one piece
CONNECT_S = 2.0
SILENCE_S = 30.0  # an owner that says nothing for this long is given up
KEPT_ALIVE_S = 3.0  # below the owners' own 5 s: a connection that they are about to close is not used again
TOKEN_REUSED_S = LIFE_S // 3


class Forwarder:
    """`owners`: where each listens, without a trailing slash."""

    _light: aiohttp.ClientSession
    _heavy: aiohttp.ClientSession

    def __init__(
        self, owners: Mapping[Owner, str], tokens: Tokens, clock: Clock, *, upload_bytes: int, uploads_at_once: int
    ) -> None:
        self._owners, self._tokens, self._clock = owners, tokens, clock
        self._upload_bytes, self._uploads = upload_bytes, uploads_at_once
        self._signed: dict[Caller, tuple[int, str]] = {}
        self._light_turns = asyncio.Semaphore(LIGHT_AT_ONCE)
        self._heavy_turns = asyncio.Semaphore(uploads_at_once)

    async def open(self) -> None:
        self._light = self._session(LIGHT_AT_ONCE, SILENCE_S)
        # An owner says nothing before the end of an upload, however long that takes: `Upload.moving` watches instead.
        self._heavy = self._session(self._uploads, None)

    async def close(self) -> None:
        await self._light.close()
        await self._heavy.close()

    @staticmethod
    def _session(connections: int, silence_s: float | None) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEPT_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s),
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept", "Content-Type"),
        )  # fmt: skip

    async def forward(self, request: Request, caller: Caller, rule: Rule) -> Response:
        """The owner's answer. ProblemError 413 for a body beyond the limit, 503 when the owner is away, 504 when it
        is silent; RetryLaterError when too many requests are on their way already."""
        turns = self._heavy_turns if rule.heavy else self._light_turns
        try:
            await asyncio.wait_for(turns.acquire(), WAIT_FOR_TURN_S)
        except TimeoutError as error:
            raise RetryLaterError("too many requests are being forwarded") from error
        kept = False
        try:
            answer = await self._send(request, caller, rule, turns.release)
            kept = isinstance(answer, Streamed)  # it gives the turn back when it has been sent
            return answer
        finally:
            if not kept:
                turns.release()

    async def _send(self, request: Request, caller: Caller, rule: Rule, done: Callable[[], None]) -> Response:
        base = self._owners[rule.owner]
        upload = Upload(request, self._upload_bytes if rule.heavy else LIGHT_BYTES)
        session = self._heavy if rule.heavy else self._light
        try:
            async with upload.moving(SILENCE_S if rule.heavy else None):
                upstream = await session.request(
                    request.method, _address(base, request), headers=inward(request.headers.items(), self._token(caller)),
                    data=await upload.data(), allow_redirects=False,
                )  # fmt: skip
            headers = outward(upstream.headers.items(), base)
            length = upstream.content_length
            if length is None or length > SMALL_BYTES:
                return Streamed(upstream, headers, request, done)
            async with upstream:
                return _plain(upstream.status, headers, await upstream.read())
        except Exception as error:
            if upload.overflowed:
                raise too_large(upload.limit) from error
            if upload.abandoned:
                return Response(status_code=400)  # nobody is there to read it
            if isinstance(error, aiohttp.SocketTimeoutError) or upload.stood_still:
                raise ProblemError(504, "owner_silent", "the part behind this call did not answer in time") from error
            if isinstance(error, aiohttp.ClientError | OSError | TimeoutError):
                raise ProblemError(
                    503, "owner_away", "the part behind this call is away; try again", headers={"Retry-After": "2"}
                ) from error
            raise

    def _token(self, caller: Caller) -> str:
        now = self._clock() // 1000
        signed_at, token = self._signed.get(caller, (0, ""))
        if not now - TOKEN_REUSED_S <= signed_at <= now:
            if len(self._signed) > 10_000:
                self._signed.clear()
            token = self._tokens.sign(caller, now)
            self._signed[caller] = (now, token)
        return token

    async def ask(self, owner: Owner, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and answer of an owner's internal call. RetryLaterError when it is away."""
        now = self._clock() // 1000
        token = self._tokens.sign(Caller(SYSTEM_TENANT, frozenset({"internal"}), "ingest"), now)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        raw = msgspec.json.encode(body) if body is not None else None
        try:
            async with self._light.request(
                method, self._owners[owner] + path, data=raw, headers=headers, timeout=aiohttp.ClientTimeout(total=5)
            ) as answer:
                told = msgspec.json.decode(await answer.read(), type=dict[str, Any])
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            raise RetryLaterError(f"{owner} is away") from error
        if answer.status >= 500:
            raise RetryLaterError(f"{owner} answers {answer.status}")
        return answer.status, told

    async def document(self, owner: Owner) -> Any:
        """An owner's OpenAPI document. aiohttp.ClientError, TimeoutError or ValueError when there is none now."""
        timeout = aiohttp.ClientTimeout(total=3)
        async with self._light.get(f"{self._owners[owner]}/openapi.json", timeout=timeout) as answer:
            if answer.status != 200:
                raise ValueError(f"{owner} answered {answer.status}")
            return await answer.json(content_type=None)


class Upload:
    """A request's body on its way in, counted."""

    def __init__(self, request: Request, limit: int) -> None:
        self._request, self.limit = request, limit
        self.overflowed = self.abandoned = self.stood_still = False
        self._watch: asyncio.Timeout | None = None
        self._patience_s = 0.0

    @asynccontextmanager
    async def moving(self, patience_s: float | None) -> AsyncIterator[None]:
        """TimeoutError once neither a piece of the body has been taken nor an answer come for this long."""
        if patience_s is None:
            yield
            return
        self._patience_s = patience_s
        try:
            async with asyncio.timeout(patience_s) as self._watch:
                yield
        except TimeoutError:
            self.stood_still = True
            raise
        finally:
            self._watch = None

    async def data(self) -> bytes | AsyncIterator[bytes] | None:
        """None without a body; the bytes of a small one; otherwise a stream."""
        headers = self._request.headers
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return None
        if length is not None and length.isdigit():
            if int(length) > self.limit:
                self.overflowed = True
                raise too_large(self.limit)
            if int(length) <= SMALL_BYTES:
                return b"".join([chunk async for chunk in self._chunks()])
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in self._request.stream():
                size += len(chunk)
                if size > self.limit:
                    self.overflowed = True
                    raise too_large(self.limit)
                if self._watch is not None and not self._watch.expired():
                    self._watch.reschedule(asyncio.get_running_loop().time() + self._patience_s)
                if chunk:
                    yield chunk
        except ClientDisconnect:
            self.abandoned = True
            raise


class Streamed(Response):
    """An answer of unknown or great length, passed on piece by piece."""

    def __init__(
        self,
        upstream: aiohttp.ClientResponse,
        headers: list[tuple[str, str]],
        request: Request,
        done: Callable[[], None],
    ) -> None:
        self.status_code, self.background, self.body = upstream.status, None, b""
        self.raw_headers = _encoded(headers)
        self._upstream, self._request, self._done = upstream, request, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        try:
            try:
                first = await self._upstream.content.readany()
            except (aiohttp.ClientError, OSError, TimeoutError):
                problem = ProblemError(504, "owner_silent", "the part behind this call did not answer in time")
                await response_of(problem)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            started = True
            chunk = first
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if await self._request.is_disconnected():
                    return
                chunk = await self._upstream.content.readany()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (aiohttp.ClientError, TimeoutError) as error:
            # The answer has begun: breaking the connection is the only honest way to say that it is not whole.
            assert started
            raise ConnectionError("an answer broke off") from error
        finally:
            self._upstream.close()
            self._done()


def _plain(status: int, headers: list[tuple[str, str]], body: bytes) -> Response:
    found = Response(status_code=status)
    found.body = body
    found.raw_headers = _encoded(headers)
    return found


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def _address(base: str, request: Request) -> URL:
    raw_path: bytes = request.scope["raw_path"].partition(b"?")[0]
    query: bytes = request.scope["query_string"]
    return URL(base + raw_path.decode("ascii") + (f"?{query.decode('ascii')}" if query else ""), encoded=True)

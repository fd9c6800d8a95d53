"""Tells the segmenter of STOP, START and HELP, in order, until it has committed them; asks it for proofs of consent."""

import asyncio
import contextlib
import time
from typing import Any

import aiohttp
import msgspec
from shared.crypto.tokens import Caller, Tokens
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from dlr_processor.domain.ledger import Message

PATH = "/internal/v1/opt-outs"
PROOF_PATH = "/internal/v1/consent-proof"
BATCH = 500
IDLE_S = 1.0  # a safety net: the handler wakes this after a commit
PAUSE_S = 0.5


class OptOutPump:
    """Posts what is queued in `opt_outs`, then deletes it. One replica at a time holds the advisory lock.

    The queue stands between the two services so that a segmenter that is away holds up opt-outs only, and neither
    receipts nor states. Order is kept: a START never overtakes its STOP.
    """

    def __init__(self, database: Database, tokens: Tokens, url: str, service: str) -> None:
        self._database, self._tokens, self._url, self._service = database, tokens, url.rstrip("/") + PATH, service
        self._wake = asyncio.Event()
        self._log = logger(part="opt-outs")

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                self._wake.clear()
                try:
                    while await self.pump_once(session):
                        pass
                except RetryLaterError as error:
                    self._log.warning("opt-outs wait", error=str(error))
                    await asyncio.sleep(PAUSE_S)
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), IDLE_S)

    async def pump_once(self, session: aiohttp.ClientSession) -> int:
        """Hands over up to BATCH opt-outs; how many. RetryLaterError when the segmenter is away."""
        async with self._database.hot(EVERYONE) as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('opt outs'))"):
                return 0
            rows = await connection.fetch("SELECT id, body FROM opt_outs ORDER BY id LIMIT $1", BATCH)
            if not rows:
                return 0
            refused = await self._post(session, [row["body"] for row in rows])
            if refused and len(rows) > 1:
                # One of them is not understood: hand them over one by one, so that it holds up none of the others.
                for row in rows:
                    if await self._post(session, [row["body"]]):
                        self._log.error("the segmenter refuses an opt-out", opt_out=row["id"])
            elif refused:
                self._log.error("the segmenter refuses an opt-out", opt_out=rows[0]["id"])
            await connection.execute("DELETE FROM opt_outs WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])
            return len(rows)

    async def _post(self, session: aiohttp.ClientSession, bodies: list[str]) -> bool:
        """True when it was refused as malformed."""
        token = self._tokens.sign(Caller("system", frozenset({"internal"}), self._service), int(time.time()))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            async with session.post(
                self._url, data='{"opt_outs":[' + ",".join(bodies) + "]}", headers=headers
            ) as answer:
                if answer.status < 300:
                    return False
                if answer.status in (400, 422):
                    return True
                raise RetryLaterError(f"the segmenter answers {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryLaterError(f"the segmenter is away: {type(error).__name__}") from error


class ConsentAsker:
    """Asks the segmenter, which owns the consent ledger, what it had recorded when a message was decided."""

    def __init__(self, tokens: Tokens, url: str, service: str) -> None:
        self._tokens, self._url, self._service = tokens, url.rstrip("/") + PROOF_PATH, service

    async def proof(self, tenant: str, message: Message, decided_at: int) -> dict[str, Any]:
        """RetryLaterError when the segmenter is away."""
        token = self._tokens.sign(Caller("system", frozenset({"internal"}), self._service), int(time.time()))
        asked = {
            "tenant_id": tenant, "contact_id": message.contact_id, "contact_ref": message.contact_ref,
            "purpose": message.purpose, "sender": message.sender, "at": decided_at,
        }  # fmt: skip
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.post(
                    self._url, data=msgspec.json.encode(asked), headers={"Authorization": f"Bearer {token}"}
                ) as answer,
            ):
                if answer.status != 200:
                    raise RetryLaterError(f"the segmenter answers {answer.status}")
                told: dict[str, Any] = msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryLaterError(f"the segmenter is away: {type(error).__name__}") from error
        return told

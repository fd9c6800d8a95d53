"""Numbers' reachability, and the pump that tells the segmenter whom to suppress and whom no longer."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
from shared.crypto.tokens import Caller, Tokens
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from dlr_processor.domain import hygiene
from dlr_processor.domain.fold import Change
from dlr_processor.domain.hygiene import SUPPRESS, NumberHealth

REASON = "unreachable_number"  # only what we suppressed under this reason do we ever lift
BATCH = 50
IDLE_S = 5.0
PAUSE_S = 1.0
_COLUMNS = "tenant_id, contact_id, contact_ref, score, failures, evidence, changed_at, suppressed_at, to_tell"


async def count(connection: Any, changes: Sequence[Change], now: int, after: int) -> bool:
    """Within the ledger's transaction: lowers and raises scores by the messages that have just ended. True when the
    segmenter has something to hear."""
    ended = [c.message for c in changes if c.published and c.message.final and c.forward and c.message.contact_id]
    bad = {(m.tenant_id, m.contact_id) for m in ended if hygiene.counts(m.status, m.reason)}
    good = {(m.tenant_id, m.contact_id) for m in ended if m.status == "delivered"}
    if not bad and not good:
        return False
    if bad:
        await connection.execute(
            "INSERT INTO number_health (tenant_id, contact_id, score, failures, evidence, changed_at) "
            "SELECT t, c, $3, 0, '[]', $4 FROM unnest($1::text[], $2::text[]) AS g (t, c) ORDER BY t, c "
            "ON CONFLICT DO NOTHING",
            *zip(*sorted(bad), strict=True), hygiene.BEST, now,
        )  # fmt: skip
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM number_health WHERE tenant_id = ANY($1::text[]) AND contact_id = ANY($2::text[]) "
        "ORDER BY tenant_id, contact_id FOR UPDATE",
        list({tenant for tenant, _ in bad | good}), list({contact for _, contact in bad | good}),
    )  # fmt: skip
    if not rows:
        return False
    known = {(row[0], row[1]): _health(row) for row in rows}
    touched: dict[tuple[str, str], NumberHealth] = {}
    for message in sorted(ended, key=lambda m: m.message_id):
        key = (message.tenant_id, message.contact_id or "")
        health = known.get(key)
        if health is None:
            continue
        if message.status == "delivered":
            hygiene.delivered(health, now)
        elif hygiene.counts(message.status, message.reason):
            health.contact_ref = message.contact_ref or health.contact_ref
            hygiene.failed(health, message.message_id, message.carrier, message.reason, now, after)
        else:
            continue
        touched[key] = health
    await _save(connection, list(touched.values()))
    return any(health.to_tell for health in touched.values())


async def _save(connection: Any, rows: Sequence[NumberHealth]) -> None:
    if rows:
        await connection.execute(
            "UPDATE number_health h SET contact_ref = g.r, score = g.s, failures = g.f, evidence = g.e::jsonb, "
            "changed_at = g.c, suppressed_at = g.u, to_tell = g.w FROM unnest($1::text[], $2::text[], $3::text[], "
            "$4::int[], $5::int[], $6::text[], $7::bigint[], $8::bigint[], $9::text[]) AS g (t, i, r, s, f, e, c, u, w) "
            "WHERE h.tenant_id = g.t AND h.contact_id = g.i AND h.contact_id = ANY($2)",
            *zip(*((h.tenant_id, h.contact_id, h.contact_ref, h.score, h.failures,
                    msgspec.json.encode(h.evidence).decode(), h.changed_at, h.suppressed_at, h.to_tell) for h in rows),
                 strict=True),
        )  # fmt: skip


async def health_of(connection: Any, tenant: str, contact_id: str) -> NumberHealth | None:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM number_health WHERE tenant_id = $1 AND contact_id = $2", tenant, contact_id
    )
    return None if row is None else _health(row)


def _health(row: Any) -> NumberHealth:
    values = dict(row.items())
    values["evidence"] = msgspec.json.decode(values["evidence"])
    return NumberHealth(**values)


class NumberPump:
    """Tells the segmenter, again and again until it has committed. One replica at a time holds the advisory lock."""

    def __init__(self, database: Database, tokens: Tokens, url: str, service: str) -> None:
        self._database, self._tokens, self._service = database, tokens, service
        self._url = url.rstrip("/") + "/v1/suppressions"
        self._wake = asyncio.Event()
        self._log = logger(part="numbers")

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                self._wake.clear()
                try:
                    while await self.pump_once(session) == BATCH:
                        pass
                except RetryLaterError as error:
                    self._log.warning("suppressions wait", error=str(error))
                    await asyncio.sleep(PAUSE_S)
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), IDLE_S)

    async def pump_once(self, session: aiohttp.ClientSession) -> int:
        """Tells of up to BATCH numbers; how many. RetryLaterError when the segmenter is away."""
        async with self._database.hot(EVERYONE) as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('numbers to tell'))"):
                return 0
            rows = await connection.fetch(
                "SELECT tenant_id, contact_id, contact_ref, to_tell FROM number_health WHERE to_tell IS NOT NULL "
                "ORDER BY changed_at LIMIT $1 FOR UPDATE",
                BATCH,
            )
            for tenant, contact_id, contact_ref, what in rows:
                if what == SUPPRESS:
                    await self._suppress(session, tenant, contact_id, contact_ref)
                else:
                    await self._lift(session, tenant, contact_id)
            if rows:
                await connection.execute(
                    "UPDATE number_health SET to_tell = NULL WHERE to_tell IS NOT NULL AND contact_id = ANY($1::text[])",
                    [row["contact_id"] for row in rows],
                )
            return len(rows)

    async def _suppress(self, session: aiohttp.ClientSession, tenant: str, contact_id: str, ref: str | None) -> None:
        if ref is None:
            # The segmenter takes a contact or a number; of a message by API to a bare number there is neither here.
            self._log.warning("a dead number has no contact to suppress", contact_id=contact_id)
            return
        status, _ = await self._ask(session, "POST", "", tenant, {"contact": ref, "reason": REASON})
        if status >= 300:
            self._log.warning("the segmenter suppresses no such contact", contact_id=contact_id, status=status)

    async def _lift(self, session: aiohttp.ClientSession, tenant: str, contact_id: str) -> None:
        """Only if it is ours: a tenant's own suppression of the same number stays."""
        status, body = await self._ask(session, "GET", f"?after={contact_id[:-1]}&limit=16", tenant)
        found = body.get("suppressions", []) if status == 200 else []
        if any(s["contact_id"] == contact_id and s["reason"] == REASON for s in found):
            await self._ask(session, "DELETE", f"/{contact_id}", tenant)

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, tenant: str, body: Any = None
    ) -> tuple[int, Any]:
        scopes = frozenset({"contacts:write", "contacts:read"})
        token = self._tokens.sign(Caller(tenant, scopes, self._service), int(time.time()))
        try:
            async with session.request(
                method, self._url + path, json=body, headers={"Authorization": f"Bearer {token}"}
            ) as answer:
                if answer.status >= 500 or answer.status in (401, 403, 429):
                    raise RetryLaterError(f"the segmenter answers {answer.status}")
                return answer.status, await answer.json(content_type=None) if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryLaterError(f"the segmenter is away: {type(error).__name__}") from error

"""Receipts that wait for the submission they belong to."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from shared.contracts.events import ReceiptReceived

# When a waiting receipt is looked at again: soon, since most are early by milliseconds, and less often later.
CHECKS_MS = (5_000, 60_000, 60_000, 600_000, 3_600_000)

_decoder = msgspec.msgpack.Decoder(ReceiptReceived)
_encode = msgspec.msgpack.Encoder().encode


async def put_waiting(connection: Any, receipts: Sequence[ReceiptReceived], now: int) -> None:
    """Keeps receipts until their submission is there. The raw PDU stays on the topic."""
    if not receipts:
        return
    bodies = [_encode(msgspec.structs.replace(receipt, pdu=None)) for receipt in receipts]
    await connection.execute(
        "INSERT INTO waiting_receipts (event_id, carrier, carrier_message_id, number_hash, sender, body, received_at, check_at) "
        "SELECT e, c, i, n, s, b, $7, $8 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[]) "
        "AS g (e, c, i, n, s, b) ON CONFLICT (event_id) DO NOTHING",
        [r.event_id for r in receipts],
        [r.carrier for r in receipts],
        [r.carrier_message_id for r in receipts],
        [r.number_hash for r in receipts],
        [r.sender for r in receipts],
        bodies,
        now,
        now + CHECKS_MS[0],
    )  # fmt: skip


async def waiting_for(connection: Any, submitted: Iterable[tuple[str, str]]) -> list[ReceiptReceived]:
    """Receipts that wait for these (carrier, id)."""
    pairs = list(submitted)
    rows = await connection.fetch(
        "SELECT w.body FROM unnest($1::text[], $2::text[]) AS g (carrier, id) "
        "JOIN waiting_receipts w ON w.carrier_message_id = g.id AND w.carrier = g.carrier "
        "WHERE w.carrier_message_id = ANY($2)",
        [carrier for carrier, _ in pairs],
        [carrier_message_id for _, carrier_message_id in pairs],
    )
    return [_decoder.decode(row[0]) for row in rows]


async def take_due(connection: Any, now: int, limit: int) -> list[tuple[ReceiptReceived, int]]:
    """Receipts whose next look is due, each with the moment since which it waits; sets the look after that."""
    rows = await connection.fetch(
        "UPDATE waiting_receipts w SET checks = checks + 1, check_at = $1 + ($3::bigint[])[least(checks + 1, $4)] "
        "FROM (SELECT event_id FROM waiting_receipts WHERE check_at <= $1 ORDER BY check_at LIMIT $2 FOR UPDATE SKIP LOCKED) d "
        "WHERE w.event_id = d.event_id RETURNING w.body, w.received_at",
        now, limit, list(CHECKS_MS[1:]), len(CHECKS_MS) - 1,
    )  # fmt: skip
    return [(_decoder.decode(body), received_at) for body, received_at in rows]


async def remove(connection: Any, event_ids: Sequence[str]) -> None:
    if event_ids:
        await connection.execute("DELETE FROM waiting_receipts WHERE event_id = ANY($1::text[])", event_ids)


async def give_up(connection: Any, before: int) -> dict[tuple[str, str], int]:
    """Deletes receipts that have waited since before this moment; how many for each carrier and kind: `unknown_id`, or
    `other_carrier` where another carrier has given out that id."""
    rows = await connection.fetch(
        "WITH gone AS (DELETE FROM waiting_receipts WHERE received_at < $1 RETURNING carrier, carrier_message_id) "
        "SELECT carrier, CASE WHEN EXISTS (SELECT 1 FROM parts p WHERE p.carrier_message_id = gone.carrier_message_id "
        "AND p.carrier <> gone.carrier) THEN 'other_carrier' ELSE 'unknown_id' END, count(*) FROM gone GROUP BY 1, 2",
        before,
    )
    return {(carrier, kind): number for carrier, kind, number in rows}


async def count(connection: Any) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM waiting_receipts"))

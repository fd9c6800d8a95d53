"""Retry policies, and the sealed envelopes kept for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from shared.contracts.events import MessagePrepared

from dlr_processor.domain.retry_policy import RetryPolicy

Policies = Mapping[tuple[str, str], RetryPolicy]  # by tenant and purpose
_decoder = msgspec.msgpack.Decoder(MessagePrepared)
_encode = msgspec.msgpack.Encoder().encode


async def policies(connection: Any) -> dict[tuple[str, str], RetryPolicy]:
    rows = await connection.fetch("SELECT tenant_id, purpose, reasons, attempts, within_s FROM retry_policies")
    return {(row[0], row[1]): RetryPolicy(frozenset(row[2]), row[3], row[4]) for row in rows}


async def keep(connection: Any, envelopes: Sequence[MessagePrepared], now: int) -> None:
    if envelopes:
        await connection.execute(
            "INSERT INTO envelopes (message_id, tenant_id, body, kept_at) SELECT m, t, b, $4 "
            "FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS g (m, t, b) ON CONFLICT DO NOTHING",
            [e.message_id for e in envelopes], [e.tenant_id for e in envelopes], [_encode(e) for e in envelopes], now,
        )  # fmt: skip


async def kept(connection: Any, message_ids: Sequence[str]) -> dict[str, MessagePrepared]:
    if not message_ids:
        return {}
    rows = await connection.fetch(
        "SELECT message_id::text, body FROM envelopes WHERE message_id = ANY($1::uuid[])", message_ids
    )
    return {row[0]: _decoder.decode(row[1]) for row in rows}


async def let_go(connection: Any, message_ids: Sequence[str]) -> None:
    if message_ids:
        await connection.execute("DELETE FROM envelopes WHERE message_id = ANY($1::uuid[])", message_ids)


async def let_go_before(connection: Any, moment: int) -> int:
    result = await connection.execute("DELETE FROM envelopes WHERE kept_at < $1", moment)
    return int(result.split()[-1])

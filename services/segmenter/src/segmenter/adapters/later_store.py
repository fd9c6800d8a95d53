"""Messages to be sent in more than a day. Sealed at rest as a whole: the vault's keys would be gone before they wake."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from shared.contracts.events import MessageAccepted
from shared.contracts.topics import Lane, lane_of
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault

from segmenter.adapters.at_rest import AtRest
from segmenter.domain.opened import Opened
from segmenter.domain.prepare import Content
from segmenter.domain.send_later import wake_at


class _Kept(Struct):
    """The event's sealed fields are empty here; what they held stands beside it."""

    event: MessageAccepted
    number: str
    content: Content


_KEPT = msgspec.json.Decoder(_Kept)


class LaterStore:
    """Methods run within the caller's raw transaction (`Database.hot`)."""

    def __init__(self, at_rest: AtRest) -> None:
        self._at_rest = at_rest

    async def keep(self, connection: Any, messages: Sequence[Opened], *, until: int | None = None) -> None:
        """Until shortly before their `send_at`, or until a moment (ms). A message that is kept already stays as it is."""
        events = [m.event for m in messages]
        await connection.execute(
            "INSERT INTO later_messages (tenant_id, message_id, lane, wake_at, message, contact_id) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::text[]) ON CONFLICT DO NOTHING",
            [e.tenant_id for e in events], [e.message_id for e in events], [str(lane_of(e.purpose)) for e in events],
            [wake_at(e.send_at or 0) if until is None else until for e in events], [self._sealed(m) for m in messages],
            [e.contact_id for e in events],
        )  # fmt: skip

    def _sealed(self, message: Opened) -> bytes:
        bare = msgspec.structs.replace(message.event, number=b"", content=b"")
        kept = msgspec.json.encode(_Kept(bare, message.number, message.content)).decode()
        return self._at_rest.seal(bare.tenant_id, bare.message_id, kept)

    async def due(
        self, connection: Any, vault: Vault, lane: Lane, now: int, limit: int, without: Collection[str] = ()
    ) -> list[Opened]:
        """Messages whose time has come, of all tenants but some, locked, their number sealed anew with today's key."""
        rows = await connection.fetch(
            "SELECT tenant_id, message_id, message FROM later_messages WHERE lane = $1 AND wake_at <= $2 AND NOT tenant_id = ANY($4::text[]) ORDER BY wake_at LIMIT $3 "
            "FOR UPDATE SKIP LOCKED",
            str(lane), now, limit, list(without),
        )  # fmt: skip
        await vault.ready_for({row["tenant_id"] for row in rows}, [Kind.NUMBER], now)
        return [self._opened(row, vault, now) for row in rows]

    def _opened(self, row: Any, vault: Vault, now: int) -> Opened:
        tenant = row["tenant_id"]
        kept = _KEPT.decode(self._at_rest.open(tenant, row["message_id"], row["message"]))
        number = vault.sealer(tenant, Kind.NUMBER, now).seal(kept.number)
        return Opened(msgspec.structs.replace(kept.event, number=number), kept.number, kept.content)

    async def take_of(self, connection: Any, tenant: str, contact_id: str) -> list[Opened]:
        """All that is kept for a number, which is kept no longer."""
        rows = await connection.fetch(
            "DELETE FROM later_messages WHERE tenant_id = $1 AND contact_id = $2 RETURNING message_id, message",
            tenant, contact_id,
        )  # fmt: skip
        found = []
        for row in rows:
            kept = _KEPT.decode(self._at_rest.open(tenant, row["message_id"], row["message"]))
            found.append(Opened(kept.event, kept.number, kept.content))
        return found

    async def forget(self, connection: Any, messages: Sequence[Opened]) -> None:
        """After they were published."""
        await connection.execute(
            "DELETE FROM later_messages WHERE (tenant_id, message_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            [m.event.tenant_id for m in messages], [m.event.message_id for m in messages],
        )  # fmt: skip

"""Messages that wait for a person to look at them: sealed at rest as a whole, so that they outlive the vault's keys.

Whoever decides only writes the decision down; `SettleHeld` acts on it. What was decided, by whom, stays in
`held_decisions` without number or text.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct
from shared.contracts.events import MessagePrepared

from segmenter.adapters.at_rest import AtRest

Ruling = Literal["release", "block"]
SHOWN: Final = "tenant_id, message_id, campaign_id, run, contact_ref, purpose, country, rule, features, fingerprint, held_at, not_after, message"


class Held(NamedTuple):
    """A message ready to go, its number and text in the clear: in memory only. The repr shows its id."""

    event: MessagePrepared  # number and text empty
    number: str
    text: str
    rule: str

    def __repr__(self) -> str:
        return f"<Held {self.event.message_id}>"


class Due(NamedTuple):
    """A held message about which something is to be done now, locked. `decision` None: its time is over."""

    held: Held
    decision: Literal["release", "block", "cancel"] | None
    by: str | None


class _Kept(Struct):
    event: MessagePrepared
    number: str
    text: str


_KEPT = msgspec.json.Decoder(_Kept)


class HeldStore:
    """Methods run within the caller's raw transaction (`Database.hot`)."""

    def __init__(self, at_rest: AtRest) -> None:
        self._at_rest = at_rest

    async def keep(self, connection: Any, messages: Sequence[Held], now: int) -> None:
        """A message that is kept already stays as it is."""
        events = [m.event for m in messages]
        await connection.execute(
            "INSERT INTO held_messages (tenant_id, message_id, campaign_id, run, contact_id, contact_ref, purpose, country, rule, "
            "features, fingerprint, held_at, not_after, message) SELECT t, m, c, r, n, f, p, l, u, e, g, $13, a, s FROM "
            "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], "
            "$10::text[], $11::text[], $12::bigint[], $14::bytea[]) AS x (t, m, c, r, n, f, p, l, u, e, g, a, s) ON CONFLICT DO NOTHING",
            [e.tenant_id for e in events], [e.message_id for e in events], [e.campaign_id for e in events], [e.run for e in events],
            [e.contact_id for e in events], [e.contact_ref for e in events], [e.purpose for e in events], [e.country for e in events],
            [m.rule for m in messages], [e.features for e in events], [e.fingerprint for e in events],
            [e.not_after for e in events], now, [self._sealed(m) for m in messages],
        )  # fmt: skip

    def _sealed(self, held: Held) -> bytes:
        kept = msgspec.json.encode(_Kept(held.event, held.number, held.text)).decode()
        return self._at_rest.seal(held.event.tenant_id, held.event.message_id, kept)

    def opened(self, row: Any) -> Held:
        kept = _KEPT.decode(self._at_rest.open(row["tenant_id"], row["message_id"], row["message"]))
        return Held(kept.event, kept.number, kept.text, row["rule"])

    async def page(
        self, connection: Any, tenant: str, campaign: str | None, rule: str | None, after: str, limit: int
    ) -> list[Any]:
        """Undecided messages in the order of their ids, those after `after`."""
        return list(
            await connection.fetch(
                f"SELECT {SHOWN} FROM held_messages WHERE tenant_id = $1 AND ($2::text IS NULL OR campaign_id = $2) "
                "AND ($3::text IS NULL OR rule = $3) AND decision IS NULL AND message_id > $4 ORDER BY message_id LIMIT $5",
                tenant, campaign, rule, after, limit,
            )
        )  # fmt: skip

    async def groups(self, connection: Any, tenant: str) -> list[Any]:
        """What waits, by campaign, run and rule, the most first."""
        return list(
            await connection.fetch(
                "SELECT campaign_id AS campaign, run, rule, count(*) AS messages, min(held_at) AS since FROM held_messages "
                "WHERE tenant_id = $1 AND decision IS NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 100",
                tenant,
            )
        )

    async def decide(
        self, connection: Any, tenant: str, ruling: Ruling, by: str, now: int, *,
        message_ids: Sequence[str] | None, campaign: str | None, run: str | None, rule: str | None,
    ) -> int:  # fmt: skip
        """Writes down what was decided about these messages, or about all of a campaign's; answers how many they were.
        A whole campaign's messages held by one rule, once released, let the rest of that run pass the rule."""
        result = await connection.execute(
            "UPDATE held_messages SET decision = $2, decided_by = $3, decided_at = $4 WHERE tenant_id = $1 AND decision IS NULL "
            "AND ($5::text[] IS NULL OR message_id = ANY($5)) AND ($6::text IS NULL OR campaign_id = $6) "
            "AND ($7::text IS NULL OR run = $7) AND ($8::text IS NULL OR rule = $8)",
            tenant, ruling, by, now, message_ids, campaign, run, rule,
        )  # fmt: skip
        count = int(result.split()[-1])
        await connection.execute(
            "INSERT INTO held_decisions (tenant_id, at, decision, decided_by, campaign_id, run, rule, message_ids, messages) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            tenant, now, ruling, by, campaign, run, rule, message_ids, count,
        )  # fmt: skip
        return count

    async def decisions(self, connection: Any, tenant: str, limit: int) -> list[Any]:
        """The newest first."""
        return list(
            await connection.fetch(
                "SELECT at, decision, decided_by, campaign_id, run, rule, message_ids, messages FROM held_decisions "
                "WHERE tenant_id = $1 ORDER BY at DESC, id DESC LIMIT $2",
                tenant, limit,
            )
        )  # fmt: skip

    async def passes(self, connection: Any, tenant: str, campaign: str, run: str) -> set[str]:
        """Rules that a person has let this run through."""
        rows = await connection.fetch(
            "SELECT DISTINCT rule FROM held_decisions WHERE tenant_id = $1 AND campaign_id = $2 AND run = $3 AND rule IS NOT NULL "
            "AND decision = 'release' AND message_ids IS NULL",
            tenant, campaign, run,
        )  # fmt: skip
        return {row[0] for row in rows}

    async def due(self, connection: Any, now: int, limit: int) -> list[Due]:
        """Decided ones, and those whose validity has ended; each locked."""
        rows = await connection.fetch(
            f"SELECT {SHOWN}, decision, decided_by FROM held_messages WHERE decision IS NOT NULL OR not_after <= $1 "
            "ORDER BY held_at LIMIT $2 FOR UPDATE SKIP LOCKED",
            now, limit,
        )  # fmt: skip
        return [Due(self.opened(row), row["decision"], row["decided_by"]) for row in rows]

    async def forget(self, connection: Any, held: Sequence[Held]) -> None:
        """After what became of them was published."""
        await connection.execute(
            "DELETE FROM held_messages WHERE (tenant_id, message_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            [h.event.tenant_id for h in held], [h.event.message_id for h in held],
        )  # fmt: skip

    async def take_of(self, connection: Any, tenant: str, contact_id: str) -> list[Held]:
        """All that is held for a number, which is held no longer."""
        rows = await connection.fetch(
            f"DELETE FROM held_messages WHERE tenant_id = $1 AND contact_id = $2 RETURNING {SHOWN}", tenant, contact_id
        )
        await connection.execute(
            "UPDATE runs AS r SET held = r.held - n, dropped = r.dropped || "
            "jsonb_build_object('suppressed', COALESCE((r.dropped ->> 'suppressed')::int, 0) + n) "
            "FROM (SELECT c, r, count(*)::int AS n FROM unnest($2::text[], $3::text[]) AS x (c, r) GROUP BY 1, 2) AS gone (c, r, n) "
            "WHERE r.tenant_id = $1 AND r.campaign_id = gone.c AND r.run = gone.r",
            tenant, [row["campaign_id"] for row in rows], [row["run"] for row in rows],
        )  # fmt: skip
        return [self.opened(row) for row in rows]

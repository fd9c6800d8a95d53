"""What was sent a while ago, as far as content rules ask for it: copies of one text to one number, and how many to one prefix.

Both are counted before anything is published, in a transaction of their own. A repeat of a message finds its own place
among the copies and is judged as before; in a velocity it counts again, which errs on the careful side.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from segmenter.adapters.rounds import rounds_of
from segmenter.domain.content_rules import Repeats, Velocity

KEPT_OF_A_NUMBER: Final = 50  # texts remembered of one number at most
LONGEST_MS: Final = 7 * 86_400_000
SLOT_MS: Final = 300_000  # velocities move in steps of five minutes


class Copy(NamedTuple):
    """A message that would go out at `at` (ms UTC)."""

    tenant: str
    contact_id: str
    fingerprint: str
    message_id: str
    at: int
    rule: Repeats

    @property
    def place(self) -> tuple[str, str]:
        return self.tenant, self.contact_id


class Flow(NamedTuple):
    """A message as a velocity counts it. `prefix` is empty where the whole tenant is counted."""

    tenant: str
    prefix: str
    message_id: str
    rule: Velocity

    @property
    def counter(self) -> tuple[str, str, str]:
        return self.tenant, self.rule.id, self.prefix


class TrafficStore:
    """Methods run within the caller's raw transaction (`Database.hot`)."""

    async def copies(self, connection: Any, copies: Sequence[Copy]) -> set[str]:
        """Remembers these messages' texts; answers the ids of those that are one copy too many."""
        over: set[str] = set()
        for round_ in rounds_of(copies):
            over |= await self._copies_round(connection, round_)
        return over

    async def _copies_round(self, connection: Any, copies: Sequence[Copy]) -> set[str]:
        """Only rows that hold the same text already have to be looked at: all others are the first copy."""
        rows = await connection.fetch(
            "INSERT INTO sent_texts AS s (tenant_id, contact_id, fingerprints, ids, ats) SELECT t, n, ARRAY[f], ARRAY[m], ARRAY[a] "
            "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS x (t, n, f, m, a) "
            "ON CONFLICT (tenant_id, contact_id) DO UPDATE SET (fingerprints, ids, ats) = (SELECT "
            f"array_agg(f ORDER BY o) || excluded.fingerprints, array_agg(i ORDER BY o) || excluded.ids, array_agg(a ORDER BY o) || excluded.ats "
            "FROM unnest(s.fingerprints, s.ids, s.ats) WITH ORDINALITY AS k (f, i, a, o) "
            f"WHERE a > excluded.ats[1] - {LONGEST_MS} AND o > cardinality(s.ids) - {KEPT_OF_A_NUMBER}) "
            "WHERE excluded.ids[1] <> ALL (s.ids) "
            "RETURNING contact_id, tenant_id, fingerprints, ids, ats",
            *list(zip(*copies, strict=True))[:5],
        )  # fmt: skip
        held = {(row["tenant_id"], row["contact_id"]): row for row in rows}
        missing = [c for c in copies if c.place not in held]
        if missing:
            found = await connection.fetch(
                "SELECT contact_id, tenant_id, fingerprints, ids, ats FROM sent_texts WHERE (tenant_id, contact_id) IN "
                "(SELECT * FROM unnest($1::text[], $2::text[]))",
                [c.tenant for c in missing], [c.contact_id for c in missing],
            )  # fmt: skip
            held |= {(row["tenant_id"], row["contact_id"]): row for row in found}
        return {c.message_id for c in copies if c.place in held and _place_among(c, held[c.place]) > c.rule.most}

    async def flow(self, connection: Any, flows: Sequence[Flow], now: int) -> set[str]:
        """Counts these messages; answers the ids of those above their rule's number."""
        added = Counter(flow.counter for flow in flows)
        counters, slot = sorted(added), now // SLOT_MS
        await connection.execute(
            "INSERT INTO traffic_slots AS s (tenant_id, rule, prefix, slot, count) SELECT t, r, p, $5, n "
            "FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS x (t, r, p, n) "
            "ON CONFLICT (tenant_id, rule, prefix, slot) DO UPDATE SET count = s.count + excluded.count",
            *zip(*counters, strict=True), [added[c] for c in counters], slot,
        )  # fmt: skip
        within = {flow.counter: flow.rule.within_s * 1000 // SLOT_MS for flow in flows}
        rows = await connection.fetch(
            "SELECT t, r, p, (SELECT sum(count) FROM traffic_slots s WHERE (s.tenant_id, s.rule, s.prefix) = (x.t, x.r, x.p) "
            "AND s.slot > $5 - x.w)::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS x (t, r, p, w)",
            *zip(*counters, strict=True), [max(1, within[c]) for c in counters], slot,
        )  # fmt: skip
        total = {(row[0], row[1], row[2]): row[3] - added[row[0], row[1], row[2]] for row in rows}
        over: set[str] = set()
        for flow in flows:
            total[flow.counter] += 1
            if total[flow.counter] > flow.rule.most:
                over.add(flow.message_id)
        return over

    async def forget(self, connection: Any, now: int, limit: int = 20_000) -> int:
        """Drops what no rule can ask for any more; answers how many rows."""
        texts = await connection.execute(
            "DELETE FROM sent_texts WHERE ctid = ANY (ARRAY(SELECT ctid FROM sent_texts WHERE ats[cardinality(ats)] < $1 "
            "LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now - LONGEST_MS, limit,
        )  # fmt: skip
        slots = await connection.execute("DELETE FROM traffic_slots WHERE slot < $1", (now - LONGEST_MS) // SLOT_MS)
        return int(texts.split()[-1]) + int(slots.split()[-1])


def _place_among(copy: Copy, row: Any) -> int:
    """1 for the first of its text within the rule's time, 2 for the second, and so on."""
    since = copy.at - copy.rule.within_s * 1000
    place = 0
    for fingerprint, message_id, at in zip(row["fingerprints"], row["ids"], row["ats"], strict=True):
        place += fingerprint == copy.fingerprint and at > since
        if message_id == copy.message_id:
            break
    return place

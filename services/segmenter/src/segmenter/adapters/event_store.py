"""Daily sums of behaviour, counted once for each event id."""

from collections.abc import Sequence
from typing import Any

from shared.contracts.events import EventTracked

from segmenter.domain.event_days import DAY_MS, summed

REMEMBERED_DAYS = 31  # the topic keeps 30 days, so no repeat comes later


async def count_events(connection: Any, events: Sequence[EventTracked], now: int) -> int:
    """Adds events not met before; answers how many they were. Within the caller's raw transaction."""
    by_id = {(e.tenant_id, e.event_id): e for e in events}
    ids = sorted(by_id)  # one order for everyone: no deadlock
    rows = await connection.fetch(
        "INSERT INTO events_seen (tenant_id, event_id, seen_day) SELECT t, e, $3 FROM unnest($1::text[], $2::text[]) AS n (t, e) "
        "ON CONFLICT DO NOTHING RETURNING tenant_id, event_id",
        [t for t, _ in ids], [e for _, e in ids], now // DAY_MS,
    )  # fmt: skip
    sums = summed(by_id[row[0], row[1]] for row in rows)
    if sums:
        keys, values = list(sums), list(sums.values())
        await connection.execute(
            "INSERT INTO event_days AS d (tenant_id, contact_ref, name, currency, day, count, sum_micros, last_at) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::bigint[], $8::bigint[]) "
            "ON CONFLICT (tenant_id, contact_ref, name, day, currency) DO UPDATE SET count = d.count + excluded.count, "
            "sum_micros = d.sum_micros + excluded.sum_micros, last_at = greatest(d.last_at, excluded.last_at)",
            *zip(*keys, strict=True), *zip(*values, strict=True),
        )  # fmt: skip
    return len(rows)


async def forget_events(connection: Any, now: int, limit: int = 20_000) -> int:
    """Drops ids that no repeat can bring any more, some at a time; answers how many."""
    result = await connection.execute(
        "DELETE FROM events_seen WHERE (tenant_id, event_id) IN "
        "(SELECT tenant_id, event_id FROM events_seen WHERE seen_day < $1 LIMIT $2)",
        now // DAY_MS - REMEMBERED_DAYS, limit,
    )  # fmt: skip
    return int(result.split()[-1])

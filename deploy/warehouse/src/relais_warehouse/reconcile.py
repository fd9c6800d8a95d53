"""accepted = delivered + failed + expired + dropped + unknown + open, by tenant and hour, from topics alone."""

from pathlib import Path
from typing import Any

import duckdb

_TOPICS = (
    "SELECT tenant_id, epoch_ms(hour) AS hour, accepted, delivered, failed, expired, dropped, unknown, open, difference "
    "FROM marts.reconciliation ORDER BY tenant_id, hour"
)
NAMES = ("accepted", "delivered", "failed", "expired", "dropped", "unknown", "open")
_LEDGER = (
    "SELECT tenant_id, accepted_at - accepted_at % 3600000, count(*), count(*) FILTER (WHERE status = 'delivered'), "
    "count(*) FILTER (WHERE status IN ('undelivered', 'rejected')), count(*) FILTER (WHERE status = 'expired'), "
    "count(*) FILTER (WHERE status = 'dropped'), count(*) FILTER (WHERE status = 'unknown'), "
    "count(*) FILTER (WHERE status IN ('accepted', 'prepared', 'held', 'deferred', 'submitted')) "
    "FROM dlr_processor.messages GROUP BY 1, 2"
)
Counts = dict[tuple[str, int], dict[str, int]]


def from_topics(database: Path) -> tuple[Counts, list[str]]:
    """The counts, and what is wrong with them: a sentence a tenant and hour."""
    with duckdb.connect(str(database), read_only=True) as duck:
        rows = duck.execute(_TOPICS).fetchall()
    wrong = [f"{row[0]}, hour {row[1]}: {row[9]} of {row[2]} accepted are not accounted for" for row in rows if row[9]]
    return {(row[0], row[1]): dict(zip(NAMES, row[2:9], strict=True)) for row in rows}, wrong


def from_ledger(dsn: str) -> Counts:
    """Of everything in the ledger; `dsn` for a role that sees all tenants."""
    import psycopg2

    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(_LEDGER)
        return {(row[0], row[1]): dict(zip(NAMES, row[2:], strict=True)) for row in cursor.fetchall()}


def differences(topics: Counts, ledger: Counts) -> list[str]:
    found = []
    for place in sorted({*topics, *ledger}):
        ours: dict[str, Any] = topics.get(place, {})
        theirs = ledger.get(place, {})
        found += [
            f"{place[0]}, hour {place[1]}: {name} is {ours.get(name, 0)} on the topics and {theirs.get(name, 0)} in the ledger"
            for name in NAMES
            if ours.get(name, 0) != theirs.get(name, 0)
        ]
    return found

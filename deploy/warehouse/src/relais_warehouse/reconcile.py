"""accepted = delivered + failed + expired + dropped + unknown + open, by tenant and hour, from topics alone."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

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
# What a carrier took has its id; an attempt without an answer may have been taken or not, and is left out on both sides.
_TAKEN = (
    "SELECT s.carrier, count(*) FROM staging.stg_message_submitted s, json_each(s.parts) p WHERE s.outcome <> 'unknown' "
    "AND json_extract_string(p.value, '$.carrier_message_id') IS NOT NULL GROUP BY 1"
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


def from_simulators(database: Path, simulators: Iterable[str]) -> list[str]:
    """Do simulated carriers (`mercure=http://host:port`, their control address) count as many SMS taken as the topics
    tell of? For a stack whose simulators and topics began together."""
    with duckdb.connect(str(database), read_only=True) as duck:
        ours = dict(duck.execute(_TAKEN).fetchall())
    wrong = []
    for simulator in simulators:
        carrier, _, address = simulator.partition("=")
        with urlopen(f"{address.rstrip('/')}/counters", timeout=10) as answer:  # noqa: S310 - an operator's argument
            counted = json.load(answer)
        theirs = counted["accepted"] - counted["left_unanswered"]
        if theirs != ours.get(carrier, 0):
            wrong.append(f"{carrier} took {theirs} SMS by its own count and {ours.get(carrier, 0)} by the topics")
    return wrong


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

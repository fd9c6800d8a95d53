"""A large ledger stays as fast: `python tests/bench/ledger_rows.py [rows] [days] [file]`.

Fills the ledger of a PostgreSQL of its own with that many messages (ten million unless told), each with a part, spread
over so many days (35), by the server's own statements; then prints the plans of the queries that run while messages flow and while
people look, and what the ledger's handler does a second before and after.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import asyncpg
from dlr_processor.adapters import ledger as statements
from dlr_processor.adapters.stories import list_query
from ledger import BATCH, cpu_of_postgres, decoded, encoded, make_handler, stories
from own_postgres import own_postgres
from shared.clock import now_ms
from shared.db.database import Database
from shared.db.roles import DATABASE

MESSAGES = """
INSERT INTO messages (message_id, day, tenant_id, version, status, reason, final, states, purpose, contact_id, contact_ref,
    number_hash, campaign_id, run, country, network, carrier, attempt, parts, cost_micros, currency, client_ref, sender,
    decision, rules, accepted_at, updated_at)
SELECT (lpad(to_hex($1::bigint * 86400 + n::bigint * 86400 / $2), 8, '0') || md5(n::text || $1::text))::varchar(32)::uuid, $1,
    CASE WHEN n % 10 = 0 THEN 'second' ELSE 'acme' END, 3, CASE WHEN n % 100000 = 7 THEN 'rejected' ELSE 'delivered' END,
    NULL, true, jsonb_build_array(jsonb_build_array('accepted', $1::bigint * 86400000, NULL),
        jsonb_build_array('submitted', $1::bigint * 86400000, NULL), jsonb_build_array('delivered', $1::bigint * 86400000, NULL)),
    'marketing', md5('c' || n), 'person-' || n, md5('n' || n), 'campaign-' || n % 50, 'r1', 'FR', '20801', 'mercure', 1, 1,
    45000, 'EUR', 'order-' || $1 || '-' || n, 'SHOP', 'least_cost mercure=0.045', 'rules-3', $1::bigint * 86400000,
    $1::bigint * 86400000
FROM generate_series(0, $2 - 1) AS n
"""
PARTS = """
INSERT INTO parts (message_id, day, attempt, part, tenant_id, carrier, outcome, carrier_message_id, command_status,
    price_micros, currency, sender, network, number_hash, decision, submitted_at, status, done_at)
SELECT message_id, day, 1, 1, tenant_id, 'mercure', 'submitted', left(md5(message_id::text), 12), 0, 45000, 'EUR', 'SHOP',
    '20801', number_hash, decision, accepted_at, 'delivered', accepted_at FROM messages WHERE day = $1
ON CONFLICT DO NOTHING
"""
RARE = "INSERT INTO rare_states SELECT tenant_id, status, message_id, day FROM messages WHERE day = $1 AND status = 'rejected' ON CONFLICT DO NOTHING"


async def fill(admin: asyncpg.Connection, rows: int, days: int, today: int) -> float:
    started = time.perf_counter()
    for day in range(today - days + 1, today + 1):
        for table in ("messages", "parts", "rare_states", "callbacks_made"):
            await admin.execute("SELECT make_partition($1, $2)", table, day)
        await admin.execute(MESSAGES, day, rows // days)
        await admin.execute(PARTS, day)
        await admin.execute(RARE, day)
    return time.perf_counter() - started


async def handled(database: Database, postmaster: int, messages: int = 4_000) -> str:
    handler, _ = make_handler(database)
    cut = [stories(BATCH) for _ in range(messages // BATCH)]
    batches = [[[encoded(e) for e in events(part)] for events in (prepared, submitted)] for part in cut]
    seen: dict[int, float] = {}
    server, own, started = cpu_of_postgres(postmaster, seen), time.process_time(), time.perf_counter()
    for pair in batches:
        for batch in pair:
            await handler.handle(decoded(batch))
    elapsed, own = time.perf_counter() - started, time.process_time() - own
    server = cpu_of_postgres(postmaster, seen) - server
    return (
        f"{messages / elapsed:6.0f} messages/s, own CPU {own / messages * 1e6:.0f} us, "
        f"PostgreSQL {server / messages * 1e6:.0f} us a message"
    )


def prepared(part: list[Any]) -> list[Any]:
    return [event for story in part for event in (story.accepted(), story.prepared())]


def submitted(part: list[Any]) -> list[Any]:
    return [event for story in part for event in (story.submitted(), story.receipt())]


async def plan(connection: Any, title: str, query: str, *arguments: Any) -> list[str]:
    rows = await connection.fetch("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) " + query, *arguments)
    lines = [row[0] for row in rows]
    # Days that were pruned or never opened say the same thing thirty times.
    lines = [line for line in lines if "never executed" not in line and "Planning:" not in line]
    lines = [line if len(line) < 150 else f"{line[:120]} ..." for line in lines[:24]]
    return [f"## {title}", "", "```", *lines, "```", ""]


async def plans(database: Database, today: int) -> list[str]:
    out: list[str] = []
    async with database.hot("*") as connection:
        known = await connection.fetch(
            "SELECT message_id, carrier_message_id FROM parts WHERE day = $1 LIMIT 500", today - 1
        )
        ids = [row[0] for row in known]
        carriers = [row[1] for row in known]
        await statements.tune(connection)
        out += await plan(connection, "500 messages of a batch, locked", statements._LOAD_MESSAGES, today - 1, ids)
        out += await plan(connection, "their parts", statements._LOAD_PARTS, today - 1, ids)
        numbers, carrier = list(range(len(ids))), ["mercure"] * len(ids)
        out += await plan(
            connection,
            "500 receipts, among the last two days",
            statements._FIND_RECENT,
            numbers,
            carriers,
            carrier,
            today - 1,
        )
        out += await plan(
            connection, "500 receipts, among every day kept", statements._FIND, numbers, carriers, carrier
        )
    for title, filters in (
        ("a person's page: the newest", {}),
        ("a page by a status that few are in", {"status": "rejected"}),
        ("a page by campaign", {"campaign": "campaign-7"}),
        ("the caller's own reference", {"client_ref": f"order-{today - 1}-1234"}),
    ):
        nothing: dict[str, Any] = {"status": None, "since": None, "until": None, "cursor": None}
        query, arguments = list_query("acme", **(nothing | filters), limit=51)
        async with database.hot("acme") as connection:
            out += await plan(connection, title, query, *arguments)
    return out


async def main(rows: int, days: int) -> str:
    async with own_postgres("dlr_processor") as postgres:
        database = Database(
            postgres.url(user="relais_dlr_processor", password="secret", database=DATABASE), "bench", pool_size=4
        )
        await database.open()
        today = now_ms() // 86_400_000
        _, housekeeping = make_handler(database)
        await housekeeping.partitions()
        empty = await handled(database, postgres.process.pid)
        admin = await asyncpg.connect(
            postgres.url(database=DATABASE),
            server_settings={"search_path": "dlr_processor", "synchronous_commit": "off"},
        )
        seconds = await fill(admin, rows, days, today)
        held = await admin.fetchval("SELECT count(*) FROM messages")
        await admin.execute("ANALYZE messages, parts, rare_states")
        await admin.close()
        full = await handled(database, postgres.process.pid)
        text = [
            "# The ledger's queries on a large ledger", "",
            f"Written by `python tests/bench/ledger_rows.py {rows} {days}`: {held:,} messages and as many parts over {days} days, "
            f"filled in {seconds:.0f} s.", "",
            f"Handler, two batches a message, empty ledger: {empty}.",
            f"The same on the full one: {full}.", "",
            *await plans(database, today),
        ]  # fmt: skip
        await database.close()
        return "\n".join(text)


if __name__ == "__main__":
    given = sys.argv[1:]
    found = asyncio.run(main(int(given[0]) if given else 10_000_000, int(given[1]) if len(given) > 1 else 35))
    print(found)
    if len(given) > 2:
        Path(given[2]).write_text(found)

"""How soon a campaign's report answers over a table of ten million messages: `python tests/bench/reports.py [messages]`.

A PostgreSQL of its own, filled by SQL as the handlers would have: fifty campaigns, 48 hours, two variants, five
countries, two carriers; three in a hundred clicked, one in a hundred bought. What is timed is reading and building the
report, the HTTP server left out.
"""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parents[1]))

from analytics.adapters.report_store import ReportStore
from analytics.adapters.rollup_store import RollupStore
from analytics.domain.report import report_of
from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from shared.db.bootstrap import bootstrap
from shared.db.database import Database
from shared.db.roles import DATABASE, OWNER, SERVICES

CAMPAIGNS, SLICE = 50, 500_000
_FILL = (
    "INSERT INTO analytics.message_state (message_id, version, tenant_id, minute, campaign_id, run, variant, segment, purpose, "
    "country, carrier, outcome, reason, currency, submitted, parts, cost_micros, attempt, submitted_at, contact_ref, recipient) "
    "SELECT md5(n::text)::uuid, 4, 'acme', 1800000000000 + (n / 7 % 2880) * 60000, 'c' || n % 50, '1', "
    "substr('ab', (n / 50 % 2)::int + 1, 1), 's', 'marketing', (ARRAY['FR','DE','ES','IT','BE'])[n / 100 % 5 + 1], "
    "(ARRAY['mercure','iris'])[n / 500 % 2 + 1], CASE WHEN n / 1000 % 20 = 0 THEN 'failed' ELSE 'delivered' END, "
    "CASE WHEN n / 1000 % 20 = 0 THEN 'undeliverable' ELSE '' END, 'EUR', true, 1, 45000, 1, 1800000000000, 'r' || n, n "
    "FROM generate_series($1::bigint, $2::bigint) n"
)
_REST = (
    "INSERT INTO analytics.rollups SELECT tenant_id, minute, campaign_id, run, variant, segment, purpose, country, carrier, outcome, "
    "reason, currency, count(*), count(*), sum(parts), sum(cost_micros), 0 FROM analytics.message_state "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
    "INSERT INTO analytics.clicks SELECT message_id::text, tenant_id, minute, 'l', campaign_id, recipient, message_id, true, 'ios' "
    "FROM analytics.message_state WHERE recipient / 50 % 100 < 3",
    "INSERT INTO analytics.attributions SELECT tenant_id, message_id::text, 'last', message_id, campaign_id, 1000000, 30000000, 'EUR', 0 "
    "FROM analytics.message_state WHERE recipient / 50 % 100 < 1",
)


async def bench(messages: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    os.chmod(home, 0o711)
    postgres = PostgresCluster(home / "postgres", free_port(), secrets.token_urlsafe(16))
    await postgres.start()
    try:
        passwords = {name: secrets.token_urlsafe(16) for name in ["RELAIS_PASSWORD_OWNER", *(s.password_variable for s in SERVICES)]}  # fmt: skip
        await bootstrap(postgres.url(), passwords)
        owner = postgres.url(user=OWNER, password=passwords["RELAIS_PASSWORD_OWNER"], database=DATABASE)
        migrating = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "analytics", "migrate", env={**os.environ, "RELAIS_DATABASE_OWNER_URL": owner}
        )
        assert await migrating.wait() == 0
        admin = await asyncpg.connect(postgres.url(database=DATABASE), command_timeout=3_600)
        started = time.perf_counter()
        for first in range(1, messages + 1, SLICE):
            await admin.execute(_FILL, first, min(first + SLICE - 1, messages))
        for statement in _REST:
            await admin.execute(statement)
        await admin.execute("VACUUM ANALYZE")
        await admin.close()
        print(f"filled {messages} messages in {time.perf_counter() - started:.0f} s")
        await measure(
            postgres.url(user="relais_analytics", password=passwords["RELAIS_PASSWORD_ANALYTICS"], database=DATABASE)
        )
    finally:
        await postgres.stop()
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)


async def measure(url: str) -> None:
    database = Database(url, "bench")
    await database.open()
    counters, reports = RollupStore(database), ReportStore(database)
    took, lines = [], 0
    for number in range(3 * CAMPAIGNS):
        campaign, started = f"c{number % CAMPAIGNS}", time.perf_counter()
        rows, _ = await counters.campaign("acme", campaign, None)
        told = report_of(rows, await reports.responses("acme", campaign, None, "last"))
        await reports.corrections("acme", campaign)
        if number >= CAMPAIGNS:  # the first round finds cold caches
            took.append(time.perf_counter() - started)
            lines = len(rows)
        assert told["accepted"]
        assert told["conversions"]
    took.sort()
    print(f"reports    p50 {took[len(took) // 2] * 1e3:.0f} ms   p95 {took[int(len(took) * 0.95)] * 1e3:.0f} ms   {lines} counters each")  # fmt: skip
    await database.close()


if __name__ == "__main__":
    asyncio.run(bench(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))

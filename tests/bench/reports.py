"""How soon reports answer over ten million messages: `python tests/bench/reports.py [messages]`.

A PostgreSQL of its own, filled by SQL as the handlers would have: fifty campaigns, 48 hours, two variants, five
countries, two carriers; three in a hundred clicked, one in a hundred bought and one replied. Asked over HTTP, one after
the other: the report, the experiment, the export, the best texts. The plans are printed beside: none reads a message.
"""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1]))

from analytics.adapters import report_store
from analytics.adapters.http import make_routes
from analytics.adapters.report_store import ReportStore
from analytics.adapters.response_store import ResponseStore
from fastapi import FastAPI
from relais_local.ports import free_port
from relais_local.postgres import PostgresCluster
from shared.clock import now_ms
from shared.crypto.tokens import Caller, Tokens
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
_INDEXES = ("message_state_person", "message_state_recipient", "message_state_campaign", "message_state_minute")
_HOUR = "minute - minute % 3600000"
_DIMENSIONS = f"{_HOUR}, run, variant, segment, country, carrier, false"
_REST = (
    f"INSERT INTO analytics.rollups SELECT tenant_id, {_HOUR}, campaign_id, run, variant, segment, purpose, country, carrier, outcome, "
    "reason, currency, count(*), count(*), sum(parts), sum(cost_micros), 0 FROM analytics.message_state "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
    "INSERT INTO analytics.campaign_minutes SELECT tenant_id, campaign_id, run, minute, outcome, count(*) FROM analytics.message_state "
    "GROUP BY 1, 2, 3, 4, 5",
    "INSERT INTO analytics.clicks SELECT message_id::text, tenant_id, minute, 'l', campaign_id, recipient, message_id, true, 'ios' "
    "FROM analytics.message_state WHERE recipient / 50 % 100 < 3",
    f"INSERT INTO analytics.response_rollups SELECT tenant_id, campaign_id, '', '', {_DIMENSIONS}, "
    "count(*) FILTER (WHERE recipient / 50 % 100 < 3), count(*) FILTER (WHERE recipient / 50 % 100 < 3), 0, "
    "count(*) FILTER (WHERE recipient / 50 % 100 = 2), count(*) FILTER (WHERE recipient / 50 % 100 = 2), "
    "count(*) FILTER (WHERE recipient / 50 % 100 = 2), 0, 0, count(*) FILTER (WHERE recipient / 50 % 100 < 1), 0, 0, 0 "
    "FROM analytics.message_state WHERE recipient / 50 % 100 < 3 GROUP BY 1, 2, 5, 6, 7, 8, 9, 10, 11",
    *(
        f"INSERT INTO analytics.attributions SELECT tenant_id, message_id::text, '{model}', message_id, campaign_id, 1000000, 30000000, "
        f"'EUR', 0, {_DIMENSIONS} FROM analytics.message_state WHERE recipient / 50 % 100 < 1"
        for model in ("last", "linear")
    ),
    "INSERT INTO analytics.response_rollups SELECT tenant_id, campaign_id, model, currency, hour, run, variant, segment, country, carrier, "
    "held_out, 0, 0, 0, 0, 0, 0, 0, 0, 0, sum(share_micros), sum(value_micros), 0 FROM analytics.attributions "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
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
        made = [
            row[0] for row in await admin.fetch("SELECT indexdef FROM pg_indexes WHERE indexname = ANY($1)", _INDEXES)
        ]
        for name in _INDEXES:  # an index made at once is made ten times faster than one kept up
            await admin.execute(f"DROP INDEX analytics.{name}")
        await admin.execute("ALTER TABLE analytics.message_state DROP CONSTRAINT message_state_pkey")
        await admin.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'")
        for first in range(1, messages + 1, SLICE):
            await admin.execute(_FILL, first, min(first + SLICE - 1, messages))
        for statement in ("ALTER TABLE analytics.message_state ADD PRIMARY KEY (message_id)", *made, *_REST):
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


async def measure(url: str, plans: bool = True) -> None:
    database = Database(url, "bench")
    await database.open()
    if plans:
        async with database.hot("acme") as connection:
            for name, query in (
                ("counters", report_store._COUNTERS),
                ("responses", report_store._RESPONSES),
                ("best", report_store._BEST),
            ):
                given = (
                    ("acme", "c1", None, "last")
                    if name == "responses"
                    else ("acme", "c1", None)
                    if name == "counters"
                    else ("acme", 0, "last")
                )
                plan = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY ON) {query}", *given)
                print(f"-- {name}", *(row[0] for row in plan), sep="\n")
    tokens = Tokens("bench-secret-of-thirty-two-bytes-long!")
    app = FastAPI()
    app.include_router(make_routes(tokens, ReportStore(database), ResponseStore(database), now_ms))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())

    def signed() -> dict[str, str]:  # for a moment each
        return {"Authorization": f"Bearer {tokens.sign(Caller('acme', frozenset({'*'}), 'k'), now_ms() // 1000)}"}

    while not server.started:
        await asyncio.sleep(0.05)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for name, path, check in (
            ("report", "/v1/campaigns/{}/report", "accepted"),
            ("experiment", "/v1/campaigns/{}/report/experiment?measure=clicked", "variants"),
            ("export CSV", "/v1/campaigns/{}/report/export", ""),
            ("export Parquet", "/v1/campaigns/{}/report/export?format=parquet", ""),
            ("best texts", "/v1/reports/best?by=clicked&days=400", "messages"),
        ):
            took, size = [], 0
            for number in range(3 * CAMPAIGNS):
                started = time.perf_counter()
                async with client.get(path.format(f"c{number % CAMPAIGNS}"), headers=signed()) as answer:
                    body = await answer.read()
                if number >= CAMPAIGNS:  # the first round finds cold caches
                    took.append(time.perf_counter() - started)
                assert answer.status == 200, body
                assert not check or msgspec.json.decode(body)[check], name
                size = len(body)
            took.sort()
            print(f"{name:15} p50 {took[len(took) // 2] * 1e3:6.1f} ms   p95 {took[int(len(took) * 0.95)] * 1e3:6.1f} ms   {size / 1e3:.0f} kB")  # fmt: skip
    server.should_exit = True
    await serving
    await database.close()


if __name__ == "__main__":
    asyncio.run(bench(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))

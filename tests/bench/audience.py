"""What an audience costs: `python tests/bench/audience.py [contacts] [events a contact] [--plans FILE]`.

Starts a durable PostgreSQL of its own and fills it by SQL: contacts with attributes and a place, daily sums of
behaviour. Then previews a segment of three conditions (attribute, behaviour, geography), as an estimate and exactly, and
expands a campaign of it through the real handler: consent, caps, Liquid with six variables, encoding, sealing. Kafka is left
out: records are encoded and counted. CPU is this process's alone. With `--plans` the plans (EXPLAIN) go to FILE.
"""

import argparse
import asyncio
import cProfile
import pstats
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from own_postgres import own_postgres
from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.audience import estimated_size, over_everybody, size_and_effects
from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.catalog import Templates, store_segment, store_template
from segmenter.adapters.content_rule_store import ContentRuleStore
from segmenter.adapters.coupon_store import CouponStore
from segmenter.adapters.feed_store import FeedStore
from segmenter.adapters.held_store import HeldStore
from segmenter.adapters.launcher import start
from segmenter.adapters.rfm_store import classify
from segmenter.adapters.traffic_store import TrafficStore
from segmenter.domain.compile_filter import Condition, compile_filter
from segmenter.domain.filter_text import parsed, written
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.page_codes import PageCodes
from segmenter.domain.variants import Splitter
from segmenter.handlers.content_checks import ContentChecks
from segmenter.handlers.expand_chunks import ExpandChunks
from segmenter.handlers.records import Decided
from shared.clock import now_ms
from shared.contracts.avro import codec_of
from shared.contracts.events import CampaignChunk
from shared.crypto.ids import MessageIds
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.roles import DATABASE
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing
from shared.links.codes import LinkCodes
from shared.telemetry.metrics import Metrics

TENANT = "bench"
FILTER = "city = Lyon and purchase(90d).count >= 2 and near(home, 45.76, 4.83, 40 km)"
TEXT = (
    "{{ first_name }}, vos {{ points }} points vous attendent a {{ city }} ({{ tier }}) : -{{ discount }}% "
    "jusqu'au {{ until }}. STOP au 36180"
)
CHUNKS_AT_ONCE = 4
MASTER = b"m" * 32

CONTACTS = """
INSERT INTO segmenter.contacts (tenant_id, ref, contact_id, number_hash, number, country, prefix, number_zone, locale, attributes, created_at, updated_at)
SELECT $1, 'c' || i, md5('c' || i), md5('n' || i), '\\x00', 'FR', '3361200', 'Europe/Paris', 'fr',
  jsonb_build_object('city', (ARRAY['Lyon','Paris','Lille','Nantes','Nice'])[1 + i % 5], 'points', i % 1000, 'tier', 'gold', 'first_name', 'Zoe',
    'discount', 15, 'until', 'dimanche', 'age', 18 + i % 60, 'vip', i % 10 = 0, 'store', 's' || i % 300,
    'home', jsonb_build_object('lat', 45.76 + (i % 1000 - 500) / 1000.0, 'lon', 4.83 + (i % 777 - 388) / 700.0)), 0, 0
FROM generate_series(1, $2::int) AS i"""
STATES = """
INSERT INTO segmenter.consent_state (tenant_id, contact_ref, contact_id, number_hash, version, purposes, updated_at)
SELECT $1, 'c' || i, md5('c' || i), md5('n' || i), 1, '{"marketing": {"state": "granted", "at": 1, "source": "web"}}', 0
FROM generate_series(1, $2::int) AS i"""
EVENTS = """
INSERT INTO segmenter.event_days (tenant_id, contact_ref, name, day, currency, count, sum_micros, last_at)
SELECT $1, 'c' || i, (ARRAY['purchase','visit'])[1 + (i + e) % 2], $3::int - (i * 7 + e * 37) % 365, 'EUR', 1 + (i + e) % 3, 1000000, 0
FROM generate_series(1, $2::int) AS i, generate_series(1, $4::int) AS e ON CONFLICT DO NOTHING"""

MARKS = """
INSERT INTO segmenter.campaign_marks (tenant_id, contact_ref, campaign_id, recipient, sent_at, delivered_at, clicked_at)
SELECT $1, 'c' || i, 'spring', i, 1, 2, CASE WHEN i % 15 = 0 THEN 3 END FROM generate_series(1, $2::int, 3) AS i"""
GOT = "received(campaign spring) and not clicked(campaign spring) and rfm in (champions, loyal)"


class PaperPublisher:
    def __init__(self) -> None:
        self.records = 0

    def record(self, topic: str, key: str, event: Any) -> Outgoing:
        return Outgoing(topic, key.encode(), codec_of(type(event)).encode(event, 1))

    async def publish(self, records: Any) -> None:
        self.records += len(records)


class NoLimit:
    async def take(self, wants: Mapping[str, int]) -> frozenset[str]:
        return frozenset(wants)


class AlwaysOpen:
    async def closed(self, tenant: str, purpose: str, places: Any, now: int) -> dict[Any, int]:
        return {}


class Sleeper:
    def wake(self) -> None:
        return None


async def fill(pool: Any, contacts: int, events: int) -> None:
    """Indexes are made after the rows, as a restore does: it takes a third of the time."""
    started = time.perf_counter()
    day = now_ms() // 86_400_000
    held = await pool.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index "
        "WHERE indrelid = ANY ('{segmenter.contacts,segmenter.event_days}'::regclass[]) AND NOT indisprimary"
    )
    for index in held:
        await pool.execute(f"DROP INDEX {index['name']}")
    await pool.execute(CONTACTS, TENANT, contacts, timeout=600)
    await pool.execute(STATES, TENANT, contacts, timeout=600)
    await pool.execute(EVENTS, TENANT, contacts, day, events, timeout=600)
    for index in held:
        await pool.execute(index["made"], timeout=600)
    await pool.execute(MARKS, TENANT, contacts, timeout=600)
    for table in ("contacts", "consent_state", "event_days", "campaign_marks"):
        await pool.execute(f"VACUUM ANALYZE segmenter.{table}", timeout=600)
    days = await pool.fetchval("SELECT count(*) FROM segmenter.event_days")
    print(f"filled with {contacts:,} contacts and {days:,} days of behaviour in {time.perf_counter() - started:.0f} s")


async def classes(db: Database) -> None:
    started = time.perf_counter()
    async with db.hot(TENANT) as connection:
        await over_everybody(connection)
        people = await classify(connection, TENANT, now_ms())
    print(f"RFM classes of {people:,} buyers in {time.perf_counter() - started:.1f} s")
    async with db.hot(TENANT) as connection:
        started = time.perf_counter()
        await over_everybody(connection)
        size, _ = await size_and_effects(connection, TENANT, conditions(parsed(GOT)))
        print(f"{GOT}: {size:,} with effects in {time.perf_counter() - started:.2f} s")


async def previews(db: Database, contacts: int) -> None:
    tree = parsed(FILTER)
    fast, exact = [], []
    for _ in range(5):
        async with db.hot(TENANT) as connection:
            started = time.perf_counter()
            estimate = await estimated_size(connection, TENANT, compile_filter(tree, now_ms(), few=True))
            fast.append(time.perf_counter() - started)
    for _ in range(2):
        async with db.hot(TENANT) as connection:
            started = time.perf_counter()
            await over_everybody(connection)
            size, effects = await size_and_effects(connection, TENANT, conditions(tree))
            exact.append(time.perf_counter() - started)
    print(
        f"estimate {estimate.size:,} ({estimate.low:,} to {estimate.high:,}) in {max(fast) * 1000:.0f} ms at worst of {len(fast)}"
    )
    print(f"exact {size:,} of {contacts:,} with effects in {max(exact):.2f} s at worst of {len(exact)}")
    for effect in effects:
        print(f"  {effect.condition}: {effect.fulfil:,} fulfil, removes {effect.removes:,}")


def conditions(tree: Any) -> list[tuple[str, Condition]]:
    found, upto = [], 2
    for item in tree["all"]:
        condition = compile_filter(item, now_ms(), first=upto)
        found.append((written(item), condition))
        upto += len(condition.params)
    return found


async def plans(db: Database, contacts: int) -> str:
    tree = parsed(FILTER)
    whole, few = compile_filter(tree, now_ms()), compile_filter(tree, now_ms(), few=True)
    got = compile_filter(parsed(GOT), now_ms())
    statements = {
        "The audience of a launch": (f"SELECT c.ref FROM contacts c WHERE c.tenant_id = $1 AND {whole.sql}", whole),
        "Who got a campaign": (f"SELECT c.ref FROM contacts c WHERE c.tenant_id = $1 AND {got.sql}", got),
        "A sample for an estimate": (
            f"SELECT count(*) FILTER (WHERE {few.sql}) FROM (SELECT * FROM contacts WHERE tenant_id = $1 ORDER BY contact_id LIMIT 5000) AS c",
            few,
        ),
    }
    text = [
        f"# Plans of a filter over {contacts:,} contacts\n",
        f"`{FILTER}`, and `{GOT}`; written by `tests/bench/audience.py --plans`.\n",
    ]
    async with db.hot(TENANT) as connection:
        await over_everybody(connection)
        for title, (sql, condition) in statements.items():
            rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) {sql}", TENANT, *condition.params)
            text += [f"## {title}\n", "```", *(row[0] for row in rows), "```\n"]
    return "\n".join(text)


async def expansion(db: Database, people: int, at_rest: AtRest, profile: bool) -> None:
    publisher = PaperPublisher()
    campaigns, caps = CampaignStore(publisher), CapStore()  # type: ignore[arg-type]
    sealed = [(f"c{i}", at_rest.seal(TENANT, _contact_id(i), f"+3361200{i:05d}"[:12])) for i in range(1, people + 1)]
    async with db.hot(TENANT) as connection:
        await connection.execute(
            "UPDATE contacts SET number = n.sealed, attributes = attributes || '{\"wave\": 1}' FROM unnest($2::text[], $3::bytea[]) AS n (ref, sealed) WHERE tenant_id = $1 AND contacts.ref = n.ref",
            TENANT, [ref for ref, _ in sealed], [number for _, number in sealed],
        )  # fmt: skip
        await store_segment(connection, TENANT, "s", "s", '{"attr": "wave", "op": "eq", "value": 1}', 0)
        await store_template(connection, TENANT, "t", "t", "marketing", {"fr": TEXT}, "fr", 0)
        await caps.put_rule(connection, TENANT, "marketing", 2, 5, 0)
        said = {"name": "c", "segment": "s", "template": "t", "purpose": "marketing", "sender": "RELAIS", "validity_s": 3600,
                "variants": [], "holdout": 0, "schedule": None, "optimise": None, "exclude_quiet_days": None}  # fmt: skip
        await campaigns.store(connection, TENANT, "c", said, "k", now_ms())
        row = await campaigns.find(connection, TENANT, "c", lock=True)
        started = time.perf_counter()
        key = await start(connection, campaigns, row, now_ms())
        print(f"launch fixes the audience in {time.perf_counter() - started:.2f} s")
        chunks = [
            r[0] for r in await connection.fetch("SELECT chunk FROM chunks WHERE campaign_id = 'c' ORDER BY chunk")
        ]
    handler = ExpandChunks(
        db, Vault(db.pool, MASTER), Decided(publisher, Metrics("bench"), LinkCodes(MASTER), PageCodes(MASTER)), campaigns, Templates(), at_rest, MessageIds(MASTER),  # type: ignore[arg-type]
        Splitter(MASTER), Fingerprints(MASTER), NoLimit(), Sleeper(), now_ms, caps,
        ContentChecks(db, ContentRuleStore(), TrafficStore(), HeldStore(at_rest)), AlwaysOpen(), CouponStore(), FeedStore(),  # type: ignore[arg-type]
    )  # fmt: skip
    batches = [
        [
            Received("t", 0, n, b"", 0, (), CampaignChunk(event_id=str(n), tenant_id=TENANT, occurred_at=0, campaign_id="c", run=key.run, chunk=n, size=500))
            for n in chunks[at : at + CHUNKS_AT_ONCE]
        ]
        for at in range(0, len(chunks), CHUNKS_AT_ONCE)
    ]  # fmt: skip
    profiler = cProfile.Profile() if profile else None
    cpu, wall = time.process_time(), time.perf_counter()
    if profiler:
        profiler.enable()
    for batch in batches:
        await handler.handle(batch)
    if profiler:
        profiler.disable()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    count = publisher.records
    print(
        f"expansion of {count:,}: {count / wall:,.0f}/s, {cpu / max(1, count) * 1e6:.0f} us of this process's CPU each"
    )
    if profiler:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


def _contact_id(i: int) -> str:
    from hashlib import md5

    return md5(f"c{i}".encode(), usedforsecurity=False).hexdigest()


async def main(contacts: int, events: int, plan_file: Path | None, profile: bool) -> None:
    async with own_postgres("segmenter") as postgres:
        admin = Database(postgres.url(database=DATABASE), "bench")
        await admin.open()
        db = Database(postgres.url(user="relais_segmenter", password="secret", database=DATABASE), "segmenter")
        await db.open()
        at_rest = AtRest(MASTER)
        await fill(admin.pool, contacts, events)
        await previews(db, contacts)
        await classes(db)
        if plan_file is not None:
            with plan_file.open("w") as file:
                file.write(await plans(db, contacts))
        await expansion(db, min(contacts, 20_000), at_rest, profile)
        await db.close()
        await admin.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("contacts", nargs="?", type=int, default=1_000_000)
    arguments.add_argument("events", nargs="?", type=int, default=5)
    arguments.add_argument("--plans", type=Path)
    arguments.add_argument("--profile", action="store_true")
    given = arguments.parse_args()
    asyncio.run(main(given.contacts, given.events, given.plans, given.profile))

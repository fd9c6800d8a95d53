"""The warehouse on real topics: what lands, what the models make of it, and that a replay of every topic changes nothing."""

import asyncio
import csv
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from shared.clock import now_ms
from shared.contracts.events import (
    ConsentChanged,
    ContactErased,
    LinkClicked,
    MessageAccepted,
    MessageDropped,
    MessageStatus,
    MessageSubmitted,
    StateReached,
    SubmittedPart,
)
from shared.contracts.topics import ACCEPTED, CLICKED, CONSENT, DROPPED, ERASED, STATUS, SUBMITTED
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.links.codes import recipient_of
from shared.telemetry.metrics import Metrics
from support.parts import Parts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]  # dbt takes ten seconds and more to start
CHECKOUT = Path(__file__).parents[3]
PYTHON = CHECKOUT / "build" / "warehouse" / "bin" / "python"
MESSAGES = 120  # of twelve: one dropped, one on its way, one unknown, one undelivered, eight delivered
TOPICS = (*ACCEPTED, DROPPED, STATUS, SUBMITTED, CLICKED, CONSENT, ERASED)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def python() -> Path:
    """The warehouse's own packages, brought by the Makefile where they are not there yet."""
    process = await asyncio.create_subprocess_exec("make", "-s", "build/.warehouse", cwd=CHECKOUT)
    assert await process.wait() == 0
    return PYTHON


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def publisher(parts: Parts) -> AsyncIterator[Publisher]:
    schemas = SchemaIds(parts.registry_url)
    publisher = Publisher(
        parts.bootstrap, schemas, [t.name for t in TOPICS], Metrics("test"), client_id="test-warehouse"
    )
    await publisher.start()
    yield publisher
    await publisher.close()
    await schemas.close()


@asynccontextmanager
async def simulator(**counted: int) -> AsyncIterator[str]:
    """What a simulated carrier's control address says of itself."""

    async def counters(_: web.Request) -> web.Response:
        return web.json_response(counted)

    app = web.Application()
    app.router.add_get("/counters", counters)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Warehouse:
    def __init__(self, python: Path, parts: Parts, home: Path) -> None:
        self._python, self._home = python, home
        self._environment = {
            **os.environ, "PYTHONPATH": str(CHECKOUT / "deploy" / "warehouse" / "src"), "RELAIS_KAFKA_BOOTSTRAP": parts.bootstrap,
            "RELAIS_REGISTRY_URL": parts.registry_url,
        }  # fmt: skip

    async def run(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            str(self._python), "-m", "relais_warehouse", *arguments, "--home", str(self._home), env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
        return process.returncode or 0, told.decode()

    async def marts(self) -> dict[str, list[dict[str, str]]]:
        status, told = await self.run("export")
        assert status == 0, told
        found = {}
        for path in sorted((self._home / "export").glob("*.csv")):
            with path.open() as file:
                found[path.stem] = sorted(csv.DictReader(file), key=lambda row: json.dumps(row))
        return found


def history(publisher: Publisher, tenant: str) -> tuple[list[Outgoing], list[str]]:
    """What the stages, the ledger and people tell of MESSAGES messages, and the messages' ids."""
    at, records, ids = now_ms() - 60_000, list[Outgoing](), list[str]()

    def put(topic: str, key: str, event: Any) -> None:
        records.append(publisher.record(topic, key, event))

    for number in range(MESSAGES):
        message_id, ref = str(uuid.uuid4()), f"r{number}"
        ids.append(message_id)
        common: dict[str, Any] = {"tenant_id": tenant, "occurred_at": at, "message_id": message_id}
        accepted = MessageAccepted(
            event_id=f"{message_id}:accepted", contact_id="c", number_hash="n", purpose="marketing", number=b"sealed", content=b"sealed", **common,
        )  # fmt: skip
        put(ACCEPTED[1].name, "c", accepted)

        def status(version: int, state: str, common: dict[str, Any] = common, ref: str = ref, **more: Any) -> None:
            event = MessageStatus(
                event_id=f"{common['message_id']}:{version}", version=version, status=state, final=False, purpose="marketing",
                states=[StateReached(state=state, at=at + version * 1_000)], contact_ref=ref, campaign_id="spring", run="1",
                variant="ab"[len(ref) % 2], country="FR", accepted_at=at, **common, **more,
            )  # fmt: skip
            put(STATUS.name, common["message_id"], event)

        status(1, "accepted")
        sent: dict[str, Any] = {"attempt": 1, "carrier": "mercure", "parts": 1, "cost": 40_000, "currency": "EUR"}
        match number % 12:
            case 0:
                dropped = MessageDropped(
                    event_id=f"{message_id}:dropped", stage="segmenter", reason="no_consent", contact_id="c", purpose="marketing",
                    accepted_at=at, **common,
                )  # fmt: skip
                put(DROPPED.name, message_id, dropped)
                status(2, "dropped", reason="no_consent")
            case 1:
                status(2, "submitted", **sent)
            case end:
                status(2, "submitted", **sent)
                status(3, {2: "unknown", 3: "undelivered"}.get(end, "delivered"), **sent)
    click = LinkClicked(event_id=uuid.uuid4().hex, tenant_id=tenant, occurred_at=at, code="c", link_id="l", human=True, agent="ios", recipient=recipient_of(ids[5]))  # fmt: skip
    put(CLICKED.name, "c", click)
    consent = ConsentChanged(event_id="k1", tenant_id=tenant, occurred_at=at + 5_000, contact_ref="r6", version=2, purposes={"marketing": "withdrawn"}, source="stop")  # fmt: skip
    put(CONSENT.name, f"{tenant}:r6", consent)
    erased = ContactErased(event_id="e1", tenant_id=tenant, occurred_at=at + 6_000, contact_ref="r7")
    put(ERASED.name, f"{tenant}:r7", erased)
    return records, ids


async def test_topics_become_tables_once_whatever_is_replayed(
    parts: Parts, python: Path, publisher: Publisher, tmp_path: Path
) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    records, ids = history(publisher, tenant)
    await publisher.publish(records)
    warehouse = Warehouse(python, parts, tmp_path / "first")
    status, told = await warehouse.run("run")
    assert status == 0, told
    assert "landed" in told
    first = await warehouse.marts()
    tenth = MESSAGES // 12
    own = {name: [row for row in rows if row.get("tenant_id") == tenant] for name, rows in first.items()}
    [hour] = own["reconciliation"]
    counted = {name: int(hour[name]) for name in ("accepted", "delivered", "failed", "expired", "dropped", "unknown", "open", "difference")}  # fmt: skip
    assert counted == {
        "accepted": MESSAGES, "delivered": 8 * tenth, "failed": tenth, "expired": 0, "dropped": tenth, "unknown": tenth,
        "open": tenth, "difference": 0,
    }  # fmt: skip
    lifecycle = {row["message_id"]: row for row in own["message_lifecycle"]}
    assert set(lifecycle) == set(ids)
    assert [m for m, row in lifecycle.items() if row["clicks"] != "0"] == [ids[5]]
    assert lifecycle[ids[7]]["contact_ref"] == ""  # erased
    assert lifecycle[ids[6]]["contact_ref"] == "r6"
    assert lifecycle[ids[5]]["delay_s"] == "1.0"
    assert sum(int(row["opted_out"]) for row in own["campaign_performance"]) == 1
    assert sum(float(row["cost"]) for row in own["campaign_performance"]) == pytest.approx(0.04 * 11 * tenth)

    # Nothing new: nothing lands. Every topic told twice: more records, the same tables; from nothing as well.
    assert await warehouse.run("land") == (0, "landed 0 records\n")
    await publisher.publish([*records, *records])
    status, told = await warehouse.run("run")
    assert status == 0, told
    assert f"landed {2 * len(records)} records" in told
    assert await warehouse.marts() == first
    anew = Warehouse(python, parts, tmp_path / "second")
    status, told = await anew.run("reconcile")
    assert status == 0, told
    assert json.loads(told.splitlines()[-1])["differences"] == 0
    assert await anew.marts() == first


async def test_a_message_that_the_ledger_never_told_of_is_a_difference(
    parts: Parts, python: Path, publisher: Publisher, tmp_path: Path
) -> None:
    records, _ = history(publisher, f"t{uuid.uuid4().hex[:8]}")
    lost = [r for r in records if r.topic != STATUS.name or r.key != records[1].key]
    taken = [
        MessageSubmitted(
            event_id=f"{carrier}:{n}", tenant_id="acme", occurred_at=now_ms(), message_id=str(uuid.uuid4()), attempt=1, outcome=outcome,
            carrier=carrier, number_hash="n", sender="SHOP", price=1, currency="EUR", decision="", purpose="marketing",
            parts=[SubmittedPart(part=1, carrier_message_id=None if outcome == "unknown" else str(n))],
        )
        for carrier, n, outcome in (("mercure", 1, "submitted"), ("iris", 1, "submitted"), ("iris", 2, "unknown"))
    ]  # fmt: skip
    await publisher.publish([*lost, *(publisher.record(SUBMITTED.name, e.message_id, e) for e in taken)])
    async with simulator(accepted=3, left_unanswered=1) as mercure, simulator(accepted=2, left_unanswered=1) as iris:
        status, told = await Warehouse(python, parts, tmp_path).run(
            "reconcile", "--simulator", f"mercure={mercure}", "--simulator", f"iris={iris}"
        )
    assert status == 1
    assert "mercure took 2 SMS by its own count and 1 by the topics" in told
    assert "iris took" not in told
    assert "1 of 120 accepted are not accounted for" in told

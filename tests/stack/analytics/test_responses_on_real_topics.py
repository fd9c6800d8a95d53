"""Clicks, conversions, opt-outs and erasures on real Kafka and PostgreSQL: attributed, corrected, refused, forgotten."""

import asyncio
import io
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from shared.clock import now_ms
from shared.contracts.events import (
    ConsentChanged,
    ContactErased,
    EventTracked,
    LinkClicked,
    MessageReplied,
    MessageStatus,
    StateReached,
)
from shared.contracts.topics import CLICKED, CONSENT, DELTA, ERASED, REPLIED, STATUS, TRACKED
from shared.crypto.tokens import Caller, Tokens
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.links.codes import recipient_of
from shared.telemetry.metrics import Metrics
from support.parts import Parts
from test_counts_on_real_topics import Desk, Running, analytics, desk  # noqa: F401 - fixtures

pytestmark = pytest.mark.stack
HOUR = 3_600_000


class World:
    """One person a message, told by hand."""

    def __init__(self, desk: Desk, service: Running, publisher: Publisher) -> None:  # noqa: F811
        self.desk, self.service, self._publisher = desk, service, publisher
        self.tag = uuid.uuid4().hex[:8]

    def sent(self, ref: str, campaign: str, *, ago_ms: int = HOUR, variant: str = "a", state: str = "delivered", reason: str | None = None) -> tuple[str, Outgoing]:  # fmt: skip
        at, message_id = now_ms() - ago_ms, str(uuid.uuid4())
        dropped = state == "dropped"
        event = MessageStatus(
            event_id=f"{message_id}:1", tenant_id="acme", occurred_at=at, message_id=message_id, version=1, status=state,
            reason=reason, states=[] if dropped else [StateReached(state="submitted", at=at), StateReached(state=state, at=at + 900)],
            final=True, purpose="marketing", contact_ref=self.ref(ref), campaign_id=self.campaign(campaign), run="1",
            variant=variant, country="FR", carrier=None if dropped else "mercure", attempt=0 if dropped else 1,
            parts=0 if dropped else 1, cost=0 if dropped else 50_000, currency=None if dropped else "EUR", accepted_at=at,
        )  # fmt: skip
        return message_id, self._publisher.record(STATUS.name, message_id, event)

    def ref(self, ref: str) -> str:
        return f"{ref}-{self.tag}"

    def campaign(self, campaign: str) -> str:
        return f"{campaign}-{self.tag}"

    def bought(self, ref: str, sale: str, value: int | None, currency: str | None = "EUR", name: str = "purchase", at: int | None = None) -> Outgoing:  # fmt: skip
        event = EventTracked(
            event_id=f"{sale}-{self.tag}", tenant_id="acme", occurred_at=at or now_ms(), contact_ref=self.ref(ref), name=name,
            value=value, currency=currency,
        )  # fmt: skip
        return self._publisher.record(TRACKED.name, f"acme:{self.ref(ref)}", event)

    def clicked(self, message_id: str | None, *, human: bool = True, tenant: str = "acme", campaign: str | None = None) -> Outgoing:  # fmt: skip
        event = LinkClicked(
            event_id=uuid.uuid4().hex, tenant_id=tenant, occurred_at=now_ms(), code="c", link_id="l", human=human,
            agent="ios" if human else "preview", campaign_id=campaign,
            recipient=recipient_of(message_id) if message_id else None,
        )  # fmt: skip
        return self._publisher.record(CLICKED.name, "c", event)

    def answered(self, message_id: str, number: int = 1) -> Outgoing:
        event = MessageReplied(
            event_id=f"{message_id}:{number}",
            tenant_id="acme",
            occurred_at=now_ms(),
            message_id=message_id,
            carrier="mercure",
        )
        return self._publisher.record(REPLIED.name, message_id, event)

    def opted_out(self, ref: str, version: int, state: str = "withdrawn") -> Outgoing:
        event = ConsentChanged(
            event_id=f"{self.ref(ref)}:{version}", tenant_id="acme", occurred_at=now_ms(), contact_ref=self.ref(ref),
            version=version, purposes={"marketing": state}, source="stop",
        )  # fmt: skip
        return self._publisher.record(CONSENT.name, f"acme:{self.ref(ref)}", event)

    def erased(self, ref: str) -> Outgoing:
        event = ContactErased(
            event_id=f"{self.ref(ref)}:erased", tenant_id="acme", occurred_at=now_ms(), contact_ref=self.ref(ref)
        )
        return self._publisher.record(ERASED.name, f"acme:{self.ref(ref)}", event)

    async def publish(self, *records: Outgoing) -> None:
        await self._publisher.publish(records)

    async def call(self, method: str, path: str, body: Any = None, *, tenant: str = "acme") -> Any:
        token = Tokens(self.desk.parts.internal_secret).sign(Caller(tenant, frozenset({"*"}), "k"), now_ms() // 1000)
        url = f"http://127.0.0.1:{self.service.port}{path}"
        async with self.desk.http.request(
            method, url, json=body, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert answer.status == 200, await answer.text()
            if "parquet" in answer.content_type:
                return await answer.read()
            return await answer.json() if "json" in answer.content_type else await answer.text()

    async def report(self, campaign: str, query: str = "", **expected: Any) -> Any:
        """When it says what is expected; AssertionError after ten seconds."""
        deadline = time.monotonic() + 10
        while True:
            told = await self.call("GET", f"/v1/campaigns/{self.campaign(campaign)}/report{query}")
            if all(told[name] == value for name, value in expected.items()):
                return told
            assert time.monotonic() < deadline, {name: told[name] for name in expected}
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture(loop_scope="session")
async def world(parts: Parts, desk: Desk, analytics: Running) -> AsyncIterator[World]:  # noqa: F811
    schemas = SchemaIds(parts.registry_url)
    names = [STATUS.name, REPLIED.name, TRACKED.name, CLICKED.name, CONSENT.name, ERASED.name]
    publisher = Publisher(parts.bootstrap, schemas, names, Metrics("test"), client_id="test-responses")
    await publisher.start()
    try:
        yield World(desk, analytics, publisher)
    finally:
        await publisher.close()
        await schemas.close()


async def test_clicks_of_people_and_machines_are_told_apart_and_belong_to_messages(world: World) -> None:
    (first, a), (second, b) = world.sent("ann", "spring"), world.sent("bob", "spring", variant="b")
    early = world.clicked(second)  # before its message is known
    await world.publish(early, world.clicked(first, human=False))
    await asyncio.sleep(1)
    again = world.clicked(first)
    await world.publish(
        a, b, again, again, world.clicked(first), world.clicked(None, campaign=world.campaign("spring"))
    )
    told = await world.report("spring", clicks={"people": 2, "visits": 4, "machines": 1})
    assert told["by_variant"]["a"]["clicks"] == {"people": 1, "visits": 2, "machines": 1}
    assert told["by_variant"]["b"]["clicks"] == {"people": 1, "visits": 1, "machines": 0}
    stranger = world.clicked(first, tenant="other")
    await world.publish(stranger)
    other = await world.call("GET", f"/v1/campaigns/{world.campaign('spring')}/report", tenant="other")
    assert other["clicks"] == {"people": 0, "visits": 0, "machines": 0}
    await world.report("spring", clicks={"people": 2, "visits": 4, "machines": 1})


async def test_replies_count_once_even_before_their_message_and_opens_are_an_interval(world: World) -> None:
    (first, a), (second, b) = world.sent("ann", "talk"), world.sent("bob", "talk", variant="b")
    await world.publish(world.answered(second), world.answered(second))
    await asyncio.sleep(1)
    await world.publish(
        a, b, world.answered(first), world.answered(first, 2), world.answered(first), world.clicked(first)
    )
    told = await world.report(
        "talk", replies={"people": 2, "messages": 3}, clicks={"people": 1, "visits": 1, "machines": 0}
    )
    assert (told["opens"]["estimate"], told["opens"]["low"], told["opens"]["high"]) == (None, 2, 2)
    assert told["by_variant"]["a"]["replies"] == {"people": 1, "messages": 2}
    ranked = await world.call("GET", "/v1/reports/best?by=replied&limit=100")
    mine = [line for line in ranked["messages"] if line["campaign"] == world.campaign("talk")]
    assert {(line["variant"], line["replied"]["messages"], line["clicked"]["messages"]) for line in mine} == {
        ("a", 1, 1),
        ("b", 1, 0),
    }
    offers = (await world.call("GET", "/v1/reports/best-offers?limit=100"))["offers"]
    assert [(o["people"], o["visits"]) for o in offers if o["campaign"] == world.campaign("talk")] == [(1, 1)]
    assert (await world.call("GET", "/v1/reports/best?by=replied", tenant="other"))["messages"] == []
    exported = await world.call("GET", f"/v1/campaigns/{world.campaign('talk')}/report/export?format=parquet")
    assert pq.read_table(io.BytesIO(exported))["replies"].to_pylist() == [2, 1]
    deadline = time.monotonic() + 20
    while not any((d.carrier, d.country) == ("mercure", "FR") and d.clicked for d in await world.desk.read(DELTA.name)):
        assert time.monotonic() < deadline, "the windows hear of no click"


async def test_conversions_earn_for_messages_by_every_model_and_corrections_change_the_past(world: World) -> None:
    (_, old), (_, new) = world.sent("ann", "old", ago_ms=5 * HOUR), world.sent("ann", "new")
    await world.publish(world.bought("ann", "sale", 12_000_000))  # comes before its messages are known
    await asyncio.sleep(1)
    await world.publish(old, new, world.bought("ann", "sale", 12_000_000))
    await world.report("new", revenue={"EUR": "12.000000"}, conversions=1, margin="11.950000", roi=239.0)
    await world.report("old", revenue={}, conversions=0)
    await world.report("old", "?model=first", revenue={"EUR": "12.000000"})
    await world.report("old", "?model=linear", revenue={"EUR": "6.000000"}, conversions=0.5)
    await world.publish(world.bought("ann", "sale", 4_000_000))
    told = await world.report("new", revenue={"EUR": "4.000000"}, conversions=1)
    assert told["corrections"]["count"] == 1
    assert told["corrections"]["last_at"] is not None
    late = world.bought("ann", "late", 1_000_000, at=now_ms() - 3 * HOUR)  # happened between the two messages
    await world.publish(late)
    await world.report("old", revenue={"EUR": "1.000000"}, conversions=1)
    await world.call("PUT", f"/v1/reports/attribution/{world.campaign('old')}", {"window_hours": 1})
    await world.report("old", revenue={}, conversions=0)


async def test_values_that_cannot_be_believed_and_erased_people_earn_nothing_and_are_counted(world: World) -> None:
    before = (await world.call("GET", "/v1/reports/refused-events"))["refused"]
    (_, ann), (_, bob) = world.sent("ann", "sums"), world.sent("bob", "sums")
    await world.publish(ann, bob)
    await world.report("sums", accepted=2)
    await world.publish(world.bought("ann", "good", 2_000_000))
    await world.report("sums", conversions=1)
    await world.publish(world.erased("ann"))
    await asyncio.sleep(1.5)
    await world.publish(
        world.bought("bob", "x", 1, "XQX"), world.bought("bob", "n", -1), world.bought("ann", "e", 5_000_000)
    )
    deadline = time.monotonic() + 10
    wanted = {"unknown_currency": 1, "negative": 1, "erased": 1}
    while True:
        now = (await world.call("GET", "/v1/reports/refused-events"))["refused"]
        if {name: now.get(name, 0) - before.get(name, 0) for name in wanted} == wanted:
            break
        assert time.monotonic() < deadline, now
        await asyncio.sleep(0.1)
    await world.report("sums", conversions=1, revenue={"EUR": "2.000000"})
    connection = await asyncpg.connect(world.desk.parts.admin_url())
    try:
        for table in ("message_state", "conversions", "stances", "opt_outs"):
            left = await connection.fetchval(
                f"SELECT count(*) FROM analytics.{table} WHERE contact_ref = $1", world.ref("ann")
            )
            assert left == 0, table
    finally:
        await connection.close()
    assert "erased" not in (await world.call("GET", "/v1/reports/refused-events", tenant="other"))["refused"]


async def test_an_opt_out_belongs_to_the_last_message_once(world: World) -> None:
    (_, old), (_, new) = world.sent("ann", "one", ago_ms=2 * HOUR), world.sent("ann", "two")
    await world.publish(old, new)
    await world.report("two", accepted=1)
    await world.publish(world.opted_out("ann", 2), world.opted_out("ann", 3), world.opted_out("ann", 2))
    await world.report("two", opt_outs=1)
    await world.publish(world.opted_out("ann", 4, "granted"), world.opted_out("ann", 5))
    await world.report("two", opt_outs=2)
    await world.report("one", opt_outs=0)


async def test_an_experiment_compares_variants_and_those_held_out(world: World) -> None:
    records, buyers = [], []
    for number in range(60):
        _, record = world.sent(f"p{number}", "test", variant="ab"[number % 2])
        records.append(record)
        if number % 2 and number < 50:
            buyers.append(world.bought(f"p{number}", f"s{number}", 1_000_000))
    held = [world.sent(f"h{number}", "test", state="dropped", reason="holdout", variant="")[1] for number in range(20)]
    await world.publish(*records, *held)
    await world.report("test", accepted=80)
    await world.publish(*buyers, world.bought("h1", "own", 1_000_000))
    await world.report("test", conversions=25)
    told = await world.call("GET", f"/v1/campaigns/{world.campaign('test')}/report/experiment?measure=converted")
    assert {name: (arm["messages"], arm["converted"]) for name, arm in told["variants"].items()} == {"a": (30, 0), "b": (30, 25)}  # fmt: skip
    assert told["comparisons"][0]["winner"] == "b"
    assert told["lift"]["treated"] == {"trials": 60, "successes": 25}
    assert told["lift"]["held_out"] == {"trials": 20, "successes": 1}
    assert told["lift"]["interval"][0] > 0
    text = await world.call("GET", f"/v1/campaigns/{world.campaign('test')}/report/export")
    assert text.startswith("hour,run,variant,")
    assert sum(int(line.split(",")[6]) for line in text.splitlines()[1:]) == 80

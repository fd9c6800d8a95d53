"""A crash between publishing and saving, and the filters' SQL against a plain reading of the same filters."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.catalog import Templates
from segmenter.adapters.content_rule_store import ContentRuleStore
from segmenter.adapters.coupon_store import CouponStore
from segmenter.adapters.feed_store import FeedStore
from segmenter.adapters.held_store import HeldStore
from segmenter.adapters.later_store import LaterStore
from segmenter.adapters.traffic_store import TrafficStore
from segmenter.domain.compile_filter import compile_filter
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.page_codes import PageCodes
from segmenter.domain.variants import Splitter
from segmenter.handlers.content_checks import ContentChecks
from segmenter.handlers.expand_chunks import ExpandChunks
from segmenter.handlers.prepare_accepted import PrepareAccepted
from segmenter.handlers.records import Decided
from segmenter.handlers.wake_later import WakeLater
from shared.clock import now_ms
from shared.contracts.events import CampaignChunk, MessagePrepared
from shared.contracts.topics import CAMPAIGN, CHUNK, DROPPED, PREPARED, Lane
from shared.crypto.ids import MessageIds
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.late_pool import LatePool
from shared.errors import RetryLaterError
from shared.kafka.consumer import Received
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.links.codes import LinkCodes
from shared.telemetry.metrics import Metrics
from stack.segmenter.conftest import Seg, eventually

DAY_MS = 86_400_000


class NoLimit:
    async def take(self, wants: Mapping[str, int]) -> frozenset[str]:
        return frozenset(wants)


class Sleeper:
    def wake(self) -> None:
        return None


class WindowsOfATest:
    """Open, until `opens_at` is set: then closed until that moment."""

    opens_at = 0

    async def closed(self, tenant: str, purpose: str, places: set[Any], now: int) -> dict[Any, int]:
        return {place: self.opens_at for place in places if self.opens_at > now}


class DiesBeforeSaving(CampaignStore):
    """The process ends after its records are acknowledged and before anything is saved, `deaths` times."""

    deaths = 1

    async def finish(self, *args: Any) -> None:
        if self.deaths:
            self.deaths -= 1
            raise RetryLaterError("the process died here")
        await super().finish(*args)


class Inside(NamedTuple):
    """Parts of a segmenter in this process."""

    db: Database
    vault: Vault
    decided: Decided
    publisher: Publisher


@pytest_asyncio.fixture(loop_scope="session")
async def inside(seg: Seg) -> AsyncIterator[Inside]:
    parts, metrics, schemas = seg.parts, Metrics("test"), SchemaIds(seg.parts.registry_url)
    db = Database(parts.database_url("segmenter"), "test")
    await db.open()
    topics = [t.name for t in (*PREPARED, DROPPED, CHUNK)]
    publisher = Publisher(parts.bootstrap, schemas, topics, metrics, client_id="test")
    await publisher.start()
    await schemas.load_topics([CAMPAIGN.name])
    yield Inside(
        db,
        Vault(LatePool(db), parts.master),
        Decided(publisher, metrics, LinkCodes(parts.master), PageCodes(parts.master)),
        publisher,
    )
    await publisher.close()
    await schemas.close()
    await db.close()


@pytest.fixture
def windows() -> WindowsOfATest:
    return WindowsOfATest()


def checks(seg: Seg, inside: Inside) -> ContentChecks:
    return ContentChecks(inside.db, ContentRuleStore(), TrafficStore(), HeldStore(AtRest(seg.parts.master)))


@pytest.fixture
def expand(seg: Seg, inside: Inside, windows: WindowsOfATest) -> ExpandChunks:
    """An expansion that dies once before it saves."""
    master = seg.parts.master
    return ExpandChunks(
        inside.db, inside.vault, inside.decided, DiesBeforeSaving(inside.publisher), Templates(), AtRest(master),
        MessageIds(master), Splitter(master), Fingerprints(master), NoLimit(), Sleeper(), now_ms, CapStore(),  # type: ignore[arg-type]
        checks(seg, inside), windows, CouponStore(), FeedStore(),  # type: ignore[arg-type]
    )  # fmt: skip


async def test_a_crash_between_publish_and_save_repeats_the_same_ids_and_counts_once(
    seg: Seg, expand: ExpandChunks
) -> None:
    mark = uuid.uuid4().hex[:8]
    for i in range(5):
        await seg.contact(f"+33619{i:06d}", f"{mark}-{i}", attributes={"mark": mark}, consent=i != 0)
    await seg.ok("POST", f"/v1/coupons/p{mark}", {"codes": [f"{mark}-{i}" for i in range(8)]})
    body = f"Hello {{{{ contact.ref }}}}: {{{{ coupon.p{mark} }}}}"
    campaign = await seg.campaign({"attr": "mark", "op": "eq", "value": mark}, body)
    seg.router.messages = 0  # the replicas look on
    try:
        await asyncio.sleep(1.2)
        await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
        event = CampaignChunk(
            event_id="x", tenant_id="acme", occurred_at=1, campaign_id=campaign, run="1", chunk=0, size=5
        )
        record = Received(CHUNK.name, 0, 0, b"", 0, (), event)
        with pytest.raises(RetryLaterError):
            await expand.handle([record])
        assert (await seg.ok("GET", f"/v1/campaigns/{campaign}"))["run"]["chunks_done"] == 0
        await expand.handle([record, record])
        await expand.handle([record])  # done: nothing more comes of it
    finally:
        seg.router.messages = 100_000
    shown = await seg.until(campaign, "completed")
    assert (shown["run"]["prepared"], shown["run"]["dropped"]) == (4, {"no_consent": 1})
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) >= 10 and found)
    await asyncio.sleep(0.5)
    assert len(events) == len(seg.messages_of(campaign)) == 10
    said: dict[str, list[tuple[str, str, int]]] = {}
    for each in events:
        said.setdefault(each.contact_ref, []).append((each.message_id, each.event_id, each.accepted_at))
    assert all(first == second for first, second in said.values())
    texts = [(e.contact_ref, (await seg.text(e))[1]) for e in events if isinstance(e, MessagePrepared)]
    assert len(texts) == 8
    assert len(set(texts)) == 4  # the repeat carries the same code
    assert len({text.split()[-1] for _, text in texts}) == 4  # and nobody else has it
    assert (await seg.ok("GET", f"/v1/coupons/p{mark}"))["used"] == 4


async def test_a_window_that_shuts_between_a_crash_and_its_repeat_doubles_nobody(
    seg: Seg, expand: ExpandChunks, windows: WindowsOfATest
) -> None:
    mark = uuid.uuid4().hex[:8]
    await seg.contact("+33619900001", f"{mark}-0", attributes={"mark": mark}, consent=True)
    campaign = await seg.campaign({"attr": "mark", "op": "eq", "value": mark}, "Hello {{ contact.ref }}")
    seg.router.messages = 0  # the replicas look on
    try:
        await asyncio.sleep(1.2)
        await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
        event = CampaignChunk(
            event_id="x", tenant_id="acme", occurred_at=1, campaign_id=campaign, run="1", chunk=0, size=1
        )
        record = Received(CHUNK.name, 0, 0, b"", 0, (), event)
        with pytest.raises(RetryLaterError):
            await expand.handle([record])
        windows.opens_at = now_ms() + 2000
        await expand.handle([record])
        run = (await seg.ok("GET", f"/v1/campaigns/{campaign}"))["run"]
        assert (run["state"], run["chunks"], run["chunks_done"], run["prepared"]) == ("running", 2, 1, 0)
    finally:
        seg.router.messages = 100_000
    assert (await seg.until(campaign, "completed"))["run"]["prepared"] == 1
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 2 and found)
    assert len({e.message_id for e in events}) == 1


async def test_a_message_for_next_week_waits_encrypted_and_is_decided_when_it_wakes(seg: Seg, inside: Inside) -> None:
    number = "+33612999001"
    ref = await seg.contact(number, consent=True)
    send_at = now_ms() + 6 * DAY_MS
    ids = [await seg.accept(number, {"text": "Bientôt"}, purpose, send_at=send_at) for purpose in ("marketing", "otp")]
    later = LaterStore(AtRest(seg.parts.master))

    async def kept() -> list[bytes]:
        async with inside.db.hot("acme") as connection:
            rows = await connection.fetch("SELECT message FROM later_messages WHERE message_id = ANY($1::text[])", ids)
        return [row["message"] for row in rows]

    deadline = now_ms() + 20_000
    while len(found := await kept()) < 2:
        assert now_ms() < deadline
        await asyncio.sleep(0.05)
    assert not any(b"612999001" in each or "Bientôt".encode() in each for each in found)
    assert not [r for r in seg.seen if getattr(r.event, "message_id", "") in ids]
    await seg.consent(ref, "withdrawn")

    async def wake(at: int) -> None:
        for lane in Lane:
            prepare = PrepareAccepted(
                inside.db,
                inside.vault,
                inside.decided,
                Templates(),
                later,
                Fingerprints(seg.parts.master),
                lambda: at,
                None,
                CapStore(),
                checks(seg, inside),
            )
            await WakeLater(inside.db, inside.vault, later, prepare, lane, None, lambda: at).all_due()

    await wake(send_at - 2 * 3_600_000)
    assert len(await kept()) == 2
    await wake(send_at - 3_600_000)
    marketing, code = await seg.outcome(ids[0]), await seg.outcome(ids[1])
    assert marketing.reason == "opted_out"
    assert (code.not_before, code.not_after) == (send_at, send_at + DAY_MS)
    assert await seg.text(code) == (number, "Bientôt")
    assert await kept() == []


CITIES = ["Lyon", "Paris", "Łódź", "", "lyon", "O'Hara; --"]


def a_person(dice: random.Random) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if dice.random() < 0.8:
        attributes["city"] = dice.choice(CITIES)
    if dice.random() < 0.8:
        attributes["points"] = dice.choice([0, 1, 2.5, 1000, "12", True])
    if dice.random() < 0.5:
        attributes["tags"] = dice.sample(["a", "b", 3], dice.randrange(3))
    if dice.random() < 0.5:
        attributes["home"] = {"zip": dice.choice(["69001", "75001"])}
    return {"attributes": attributes, "locale": dice.choice([None, "fr", "en-GB"])}


def a_tree(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.random()
    if depth < 4 and kind < 0.5:
        if kind < 0.15:
            return {"not": a_tree(dice, depth + 1)}
        return {dice.choice(["all", "any"]): [a_tree(dice, depth + 1) for _ in range(dice.randrange(1, 4))]}
    name = dice.choice(["city", "points", "tags", "home.zip", "nothing", "locale", "country"])
    text = name in ("locale", "country")
    values = ["fr", "en-GB", "FR", "GB"] if text else [*CITIES, 0, 1, 2.5, "12", True, False, "a", 3, "69001"]
    op = dice.choice(["eq", "ne", "in", "lt", "lte", "gt", "gte", "exists", "contains"])
    if op == "exists":
        return {"attr": name, "op": op, "value": dice.random() < 0.5}
    if op == "in":
        return {"attr": name, "op": op, "value": dice.sample(values, 2)}
    if op in ("lt", "lte", "gt", "gte"):
        values = [v for v in values if not isinstance(v, bool)]
    return {"attr": name, "op": op, "value": dice.choice(values)}


def holds(tree: Any, person: dict[str, Any]) -> bool:
    """The filter read plainly, by the rules of the API's description."""
    if "all" in tree:
        return all(holds(t, person) for t in tree["all"])
    if "any" in tree:
        return any(holds(t, person) for t in tree["any"])
    if "not" in tree:
        return not holds(tree["not"], person)
    name, op, value = tree["attr"], tree["op"], tree["value"]
    if name in ("locale", "country"):
        found = person[name]
    else:
        found = person["attributes"]
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None

    def same(a: Any, b: Any) -> bool:
        return a == b and isinstance(a, bool) == isinstance(b, bool) and isinstance(a, str) == isinstance(b, str)

    if op == "exists":
        return (found is not None) == value
    if op == "ne":
        return not same(found, value)
    if found is None:
        return False
    if op == "eq":
        return same(found, value)
    if op == "in":
        return any(same(found, v) for v in value)
    if op == "contains":
        if isinstance(found, list):
            return any(same(item, value) for item in found)
        return isinstance(found, str) and isinstance(value, str) and value in found
    comparable = (isinstance(found, str) and isinstance(value, str)) or (
        isinstance(found, int | float) and not isinstance(found, bool) and isinstance(value, int | float)
    )
    compare = {
        "lt": lambda: found < value,
        "lte": lambda: found <= value,
        "gt": lambda: found > value,
        "gte": lambda: found >= value,
    }
    return comparable and compare[op]()


async def test_filters_find_in_sql_whom_they_describe(seg: Seg) -> None:
    dice = random.Random(20_260_601)
    people: dict[str, dict[str, Any]] = {}
    for i in range(60):
        person = a_person(dice)
        ref = f"filter-{i:02}"
        await seg.contact(f"+3368{i:07d}" if i % 2 else f"+4474{i:08d}", ref, tenant="filters", **person)
        people[ref] = {**person, "country": "FR" if i % 2 else "GB"}
    db = Database(seg.parts.database_url("segmenter"), "test")
    await db.open()
    sizes = set()
    try:
        async with db.hot("filters") as connection:
            for _ in range(400):
                tree = a_tree(dice)
                condition = compile_filter(tree, now_ms(), first=2)
                rows = await connection.fetch(
                    f"SELECT ref FROM contacts c WHERE c.tenant_id = $1 AND {condition.sql}",
                    "filters",
                    *condition.params,
                )
                expected = {ref for ref, person in people.items() if holds(tree, person)}
                assert {row["ref"] for row in rows} == expected, tree
                sizes.add(len(expected))
    finally:
        await db.close()
    assert len(sizes) > 20  # the trees told people apart

"""On real PostgreSQL: second attempts, dead numbers, receipts that cannot be right, days that are over."""

import uuid
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web
from dlr_processor.adapters.numbers import REASON, NumberPump
from dlr_processor.adapters.stories import list_query
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.avro import codec_of
from shared.contracts.events import MessageReturned
from shared.contracts.topics import Lane, returned
from shared.crypto.tokens import Tokens
from shared.errors import RetryLaterError
from stack.dlr_processor.ledger_world import Ledger, Story

Two = tuple[Ledger, Ledger]


async def policy(ledger: Ledger, tenant: str, *reasons: str) -> None:
    async with ledger.database.hot(tenant) as connection:
        await connection.execute(
            "INSERT INTO retry_policies VALUES ($1, 'marketing', $2, 3, 3600) ON CONFLICT (tenant_id, purpose) "
            "DO UPDATE SET reasons = excluded.reasons", tenant, list(reasons),
        )  # fmt: skip
    ledger.handler._policies_until = 0


async def given_back(ledger: Ledger, story: Story) -> list[MessageReturned]:
    codec = codec_of(MessageReturned)
    told = [r for r in await ledger.told_of() if r.topic == returned(Lane.BULK).name]
    events = [codec.decode(r.value, lambda _: codec._schema) for r in told]
    return [event for event in events if event.message_id == story.message_id]


async def envelopes(ledger: Ledger, story: Story) -> int:
    return len(await ledger.rows("SELECT 1 FROM envelopes WHERE message_id = $1", story.message_id))


async def test_an_expired_attempt_goes_back_to_the_router_once_with_its_sealed_envelope(ledgers: Two) -> None:
    one, two = ledgers
    for ledger in ledgers:
        await policy(ledger, "retrying", "expired")
    story = Story("retrying")
    await one.handle(story.accepted(), story.prepared(not_after=story.now + 3_600_000))
    assert await envelopes(one, story) == 1
    await two.handle(story.submitted())
    expired = story.receipt(state="expired")
    await one.handle(expired)
    await two.handle(expired)
    [event] = await given_back(one, story)
    assert (event.attempt, event.carrier, event.tried, event.cause) == (1, "mercure", ["mercure"], "expired")
    assert (event.number, event.text, event.contact_id) == (b"n", b"t", "c" * 32)
    assert (await one.message(story.message_id))["status"] == "submitted"
    assert await envelopes(one, story) == 1, "a third attempt may still need it"
    await one.handle(story.submitted(("second",), attempt=2, carrier="iris"))
    await two.handle(story.receipt("second", carrier="iris"))
    row = await one.message(story.message_id)
    assert (row["status"], row["attempt"], row["cost_micros"]) == ("delivered", 2, 90_000)
    assert await envelopes(one, story) == 0


async def test_without_a_policy_no_envelope_is_kept_and_the_end_is_the_end(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story()
    await ledger.handle(story.accepted(), story.prepared(), story.submitted(), story.receipt(state="expired"))
    assert (await ledger.message(story.message_id))["status"] == "expired"
    assert await envelopes(ledger, story) == 0


async def test_an_envelope_is_let_go_after_three_days_whatever_became_of_its_message(ledgers: Two) -> None:
    ledger = ledgers[0]
    await policy(ledger, "retrying", "expired")
    story = Story("retrying")
    await ledger.handle(story.prepared())
    await ledger.rows(
        "UPDATE envelopes SET kept_at = $2 WHERE message_id = $1 RETURNING 1",
        story.message_id,
        now_ms() - 72 * 3_600_000 - 1,
    )
    await ledger.housekeeping.old()
    assert await envelopes(ledger, story) == 0
    await ledger.handle(story.submitted(), story.receipt(state="expired"))
    assert (await ledger.message(story.message_id))["status"] == "expired", "without its envelope it cannot go again"


class Suppressions:
    """The segmenter's door for suppressions."""

    def __init__(self) -> None:
        self.port, self.answers, self.listed = free_port([]), 201, dict[str, str]()
        self.calls: list[tuple[str, Any]] = []

    async def __aenter__(self) -> "Suppressions":
        app = web.Application()
        app.router.add_post("/v1/suppressions", self._add)
        app.router.add_get("/v1/suppressions", self._list)
        app.router.add_delete("/v1/suppressions/{contact}", self._remove)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _add(self, request: web.Request) -> web.Response:
        self.calls.append(("POST", await request.json()))
        return web.json_response({}, status=self.answers)

    async def _list(self, request: web.Request) -> web.Response:
        found = [{"contact_id": c, "reason": r} for c, r in sorted(self.listed.items()) if c > request.query["after"]]
        return web.json_response({"suppressions": found[:16]})

    async def _remove(self, request: web.Request) -> web.Response:
        self.calls.append(("DELETE", request.match_info["contact"]))
        return web.Response(status=204)


@pytest.mark.parametrize("reason_there", [REASON, "asked"])
async def test_a_number_that_is_none_is_suppressed_with_evidence_and_recovers(ledgers: Two, reason_there: str) -> None:
    ledger, contact = ledgers[0], uuid.uuid4().hex

    async def ends(state: str, reason: str | None = None) -> Story:
        story = Story()
        await ledger.handle(
            story.prepared(contact_id=contact), story.submitted(), story.receipt(state=state, reason=reason)
        )
        return story

    async def health() -> Any:
        [row] = await ledger.rows("SELECT * FROM number_health WHERE contact_id = $1", contact)
        return row

    told = [await ends("undelivered", "invalid_number") for _ in range(2)]
    assert (await health())["to_tell"] is None
    told.append(await ends("undelivered", "invalid_number"))
    row = await health()
    assert (row["to_tell"], row["failures"]) == ("suppress", 3)
    assert [entry["message_id"] for entry in msgspec.json.decode(row["evidence"])] == [s.message_id for s in told]
    async with Suppressions() as segmenter, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{segmenter.port}"
        pump = NumberPump(ledger.database, Tokens("x"), url, "dlr-processor")
        segmenter.answers = 503
        with pytest.raises(RetryLaterError):
            await pump.pump_once(http)
        segmenter.answers = 201
        segmenter.calls.clear()
        await pump.pump_once(http)
        assert ("POST", {"contact": "person-1", "reason": REASON}) in segmenter.calls
        assert (await health())["to_tell"] is None
        segmenter.listed[contact] = reason_there
        segmenter.calls.clear()
        await ends("delivered")
        assert (await health())["to_tell"] == "lift"
        await pump.pump_once(http)
        # What a person suppressed stays suppressed.
        assert (("DELETE", contact) in segmenter.calls) == (reason_there == REASON)
    row = await health()
    assert (row["suppressed_at"], row["failures"], row["score"]) == (None, 0, 50)


async def test_receipts_that_cannot_be_right_are_counted_by_kind_and_stop_nothing(ledgers: Two) -> None:
    ledger = ledgers[0]
    before = ledger.metrics.exposition().decode()
    ancient, ahead, again = Story(), Story(), Story()
    await ledger.handle(ancient.prepared(), ancient.submitted(), ancient.receipt(at=-1))
    await ledger.handle(ahead.prepared(), ahead.submitted(), ahead.receipt(at=4_070_908_800_000))
    await ledger.handle(again.prepared(), again.submitted(), again.receipt())
    await ledger.handle(again.receipt(state="undelivered"), again.receipt(state="enroute"), again.receipt())
    for story in (ancient, ahead, again):
        assert (await ledger.message(story.message_id))["status"] == "delivered"
    foreign, nobodys = Story(), Story()
    await ledger.handle(foreign.prepared(), foreign.submitted(), foreign.receipt(carrier="iris"), nobodys.receipt())
    assert (await ledger.message(foreign.message_id))["status"] == "submitted"
    await ledger.rows("UPDATE waiting_receipts SET received_at = 0 RETURNING 1")
    await ledger.housekeeping.waiting()
    after = ledger.metrics.exposition().decode()
    for kind in ("before_1970", "ahead", "contradicts", "backwards", "repeat", "other_carrier", "unknown_id"):
        assert counted(after, kind) >= counted(before, kind) + 1, kind


def counted(text: str, kind: str) -> float:
    lines = [line for line in text.splitlines() if "receipts_odd" in line and f'kind="{kind}"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def test_a_rare_state_is_found_by_its_own_list(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story("rare")
    await ledger.handle(story.prepared(), story.submitted(), story.receipt(state="undelivered"))
    query, arguments = list_query("rare", status="undelivered", since=None, until=None, cursor=None, limit=10)
    assert [str(row["message_id"]) for row in await ledger.rows(query, *arguments)] == [story.message_id]
    query, arguments = list_query("other", status="undelivered", since=None, until=None, cursor=None, limit=10)
    async with ledger.database.hot("other") as connection:
        assert await connection.fetch(query, *arguments) == []


async def test_a_day_past_its_retention_is_dropped_whole_and_the_days_kept_stay(ledgers: Two) -> None:
    ledger = ledgers[0]
    today = now_ms() // 86_400_000
    for table in ("messages", "parts", "rare_states", "callbacks_made"):
        for day in (today - 36, today - 35):
            await ledger.rows("SELECT make_partition($1, $2)", table, day)
    await ledger.housekeeping.partitions()
    for table in ("messages", "parts", "rare_states", "callbacks_made"):
        days = [row[0] for row in await ledger.rows("SELECT partition_days($1)", table)]
        assert today - 36 not in days
        assert {today - 35, today, today + 3} <= set(days)


async def test_no_role_but_the_owner_may_drop_another_table(ledgers: Two) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await ledgers[0].rows("SELECT drop_partition('callback_endpoints', 20000)")

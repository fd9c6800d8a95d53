"""Two replicas' handlers on one database: nothing lost, nothing doubled, tenants apart."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest
from dlr_processor.adapters import ledger as statements
from dlr_processor.domain.ledger import day_of_message
from shared.clock import now_ms
from shared.contracts.events import InboundReceived
from shared.contracts.topics import REPLIED
from shared.errors import PoisonError
from stack.dlr_processor.ledger_world import Ledger, Story
from support.parts import Parts

Two = tuple[Ledger, Ledger]


async def test_all_that_a_batch_says_of_a_message_is_one_write_and_one_record(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story()
    await ledger.handle(story.accepted(), story.prepared(), story.submitted(), story.receipt())
    row = await ledger.message(story.message_id)
    assert (row["status"], row["version"], row["final"], row["cost_micros"]) == ("delivered", 1, True, 45_000)
    [status] = await ledger.statuses(story.message_id)
    assert [s.state for s in status.states] == ["accepted", "prepared", "submitted", "delivered"]
    assert (status.campaign_id, status.country, status.carrier, status.cost) == ("spring", "FR", "mercure", 45_000)


async def test_each_batch_raises_the_version_by_one_and_a_replay_changes_nothing(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story()
    batches: list[list[Any]] = [[story.accepted(), story.prepared()], [story.submitted()], [story.receipt()]]
    for batch in batches:
        await ledger.handle(*batch)
    before = [dict(await ledger.message(story.message_id)), await ledger.statuses(story.message_id)]
    assert [s.version for s in before[1]] == [1, 2, 3]
    everything = [event for batch in batches for event in batch]
    for batch in [*batches, everything, *reversed(batches)]:
        await ledger.handle(*batch)
    assert [dict(await ledger.message(story.message_id)), await ledger.statuses(story.message_id)] == before
    assert await ledger.rows("SELECT 1 FROM waiting_receipts WHERE carrier_message_id = $1", story.carrier_id) == []


async def test_an_acceptance_read_after_its_preparation_writes_nothing_and_without_one_it_is_the_message(
    ledgers: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, told, stuck, earlier = ledgers[0], Story(), Story(), Story()
    await ledger.handle(told.prepared(), earlier.prepared())
    loaded: list[str] = []
    load = statements.load_messages

    async def noted(connection: Any, message_ids: Any) -> Any:
        loaded.extend(message_ids)
        return await load(connection, message_ids)

    monkeypatch.setattr(statements, "load_messages", noted)
    before = earlier.accepted()
    before.occurred_at -= 5
    await ledger.handle(told.accepted(), stuck.accepted(), before)
    assert set(loaded) == {stuck.message_id, earlier.message_id}
    assert (await ledger.message(told.message_id))["version"] == 1
    assert (await ledger.message(stuck.message_id))["status"] == "accepted"
    assert (await ledger.message(earlier.message_id))["accepted_at"] == before.occurred_at


async def test_an_early_receipt_waits_and_is_matched_when_its_submission_comes(ledgers: Two) -> None:
    one, two = ledgers
    story = Story()
    await one.handle(story.receipt())
    assert len(await one.rows("SELECT 1 FROM waiting_receipts WHERE carrier_message_id = $1", story.carrier_id)) == 1
    await two.handle(story.prepared(), story.submitted())
    assert (await one.message(story.message_id))["status"] == "delivered"
    assert await one.rows("SELECT 1 FROM waiting_receipts WHERE carrier_message_id = $1", story.carrier_id) == []


async def test_a_submission_committed_between_a_receipts_look_and_its_wait_is_not_missed(ledgers: Two) -> None:
    one, two = ledgers
    story = Story()
    original = one.handler._change

    async def after_the_other(*arguments: Any) -> None:
        one.handler._change = original  # type: ignore[method-assign]
        await two.handle(story.prepared(), story.submitted())
        await original(*arguments)

    one.handler._change = after_the_other  # type: ignore[assignment, method-assign]
    await one.handle(story.receipt())
    assert (await one.message(story.message_id))["status"] == "delivered"


async def test_a_receipt_that_begins_to_wait_before_the_submission_commits_is_not_missed(ledgers: Two) -> None:
    one, two = ledgers
    story = Story()
    original = two.handler._change

    async def after_the_other(*arguments: Any) -> None:
        two.handler._change = original  # type: ignore[method-assign]
        await one.handle(story.receipt())
        await original(*arguments)

    two.handler._change = after_the_other  # type: ignore[assignment, method-assign]
    await two.handle(story.prepared(), story.submitted())
    assert (await one.message(story.message_id))["status"] == "delivered"


async def test_two_replicas_that_hold_submissions_and_receipts_at_the_same_moment_never_lose_a_match(
    ledgers: Two,
) -> None:
    one, two = ledgers
    stories = [Story() for _ in range(300)]
    dice = random.Random(7)

    async def feed(ledger: Ledger, events: list[Any]) -> None:
        dice.shuffle(events)
        while events:
            size = dice.randint(1, 20)
            batch, events = events[:size], events[size:]
            await ledger.handle(*batch)

    await asyncio.gather(
        feed(one, [story.submitted() for story in stories] + [story.prepared() for story in stories[::2]]),
        feed(two, [story.receipt() for story in stories] + [story.prepared() for story in stories[1::2]]),
    )
    rows = await one.rows(
        "SELECT status, count(*) FROM messages WHERE message_id = ANY($1::uuid[]) GROUP BY 1",
        [story.message_id for story in stories],
    )
    assert [tuple(row) for row in rows] == [("delivered", 300)]
    for story in stories[:40]:
        versions = [s.version for s in await one.statuses(story.message_id)]
        assert versions == sorted(set(versions))


async def test_two_replicas_that_both_find_a_message_new_keep_what_both_know(
    ledgers: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = ledgers
    story, load, both = Story(), statements.load_messages, asyncio.Barrier(2)
    calls = 0

    async def together(connection: Any, message_ids: Any) -> Any:
        nonlocal calls
        found = await load(connection, message_ids)
        calls += 1
        if calls <= 2:
            assert found == {}
            await both.wait()
        return found

    monkeypatch.setattr(statements, "load_messages", together)
    first = story.accepted(callback_url="http://127.0.0.1:1/hook")
    await asyncio.gather(one.handle(first), two.handle(story.prepared(), story.submitted()))
    row = await one.message(story.message_id)
    assert (row["status"], row["version"], row["campaign_id"], row["carrier"]) == ("submitted", 2, "spring", "mercure")
    assert row["callback_url"] == first.callback_url
    assert [s.version for s in await one.statuses(story.message_id)] == [1, 2]


async def test_a_receipt_without_id_is_tied_to_the_only_message_without_an_answer(ledgers: Two) -> None:
    ledger, story, answered = ledgers[0], Story(), Story()
    await ledger.handle(story.prepared(), story.submitted([None], outcome="unknown"), answered.prepared())
    await ledger.handle(story.receipt(None))
    await ledger.rows("UPDATE waiting_receipts SET check_at = 0 RETURNING 1")
    await ledger.handler.recheck_waiting()
    assert (await ledger.message(story.message_id))["status"] == "delivered"


async def test_a_receipt_whose_id_matches_nothing_is_tied_after_a_minute_and_its_repeat_finds_the_same_part(
    ledgers: Two,
) -> None:
    ledger, story = ledgers[0], Story()
    await ledger.handle(story.prepared(), story.submitted([None], outcome="unknown"))
    await ledger.handle(story.receipt("never-told", state="undelivered"))
    await ledger.rows("UPDATE waiting_receipts SET check_at = 0 RETURNING 1")
    await ledger.handler.recheck_waiting()
    assert (await ledger.message(story.message_id))["status"] == "submitted"
    await ledger.rows("UPDATE waiting_receipts SET check_at = 0, received_at = received_at - 61000 RETURNING 1")
    await ledger.handler.recheck_waiting()
    assert (await ledger.message(story.message_id))["status"] == "undelivered"
    await ledger.handle(story.receipt("never-told", state="delivered", at=story.now + 99))
    assert (await ledger.message(story.message_id))["status"] == "undelivered"


async def test_a_receipt_that_two_unanswered_messages_would_fit_is_tied_to_neither(ledgers: Two) -> None:
    ledger, one = ledgers[0], Story()
    two = Story(number_hash=one.number_hash)
    for story in (one, two):
        await ledger.handle(story.prepared(), story.submitted([None], outcome="unknown"))
    await ledger.handle(one.receipt(None))
    await ledger.rows("UPDATE waiting_receipts SET check_at = 0, received_at = received_at - 61000 RETURNING 1")
    await ledger.handler.recheck_waiting()
    for story in (one, two):
        assert (await ledger.message(story.message_id))["status"] == "submitted"


async def test_a_reused_id_belongs_to_the_newest_submission_and_an_old_receipt_read_again_does_not(
    ledgers: Two,
) -> None:
    ledger, old, new = ledgers[0], Story(now=now_ms() - 20 * 3_600_000), Story()
    new.carrier_id = old.carrier_id
    first = old.receipt()
    await ledger.handle(old.prepared(), old.submitted(), first)
    await ledger.handle(new.prepared(), new.submitted())
    await ledger.handle(first)
    assert (await ledger.message(new.message_id))["status"] == "submitted"
    await ledger.handle(new.receipt(state="undelivered"))
    assert (await ledger.message(new.message_id))["status"] == "undelivered"
    assert (await ledger.message(old.message_id))["status"] == "delivered"


async def test_a_receipt_days_after_its_submission_is_found_by_the_second_look(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story(now=now_ms() - 4 * 86_400_000)
    await ledger.handle(story.prepared(), story.submitted())
    await ledger.handle(story.receipt(at=now_ms()))
    assert (await ledger.message(story.message_id))["status"] == "submitted"
    await ledger.rows("UPDATE waiting_receipts SET check_at = 0 RETURNING 1")
    await ledger.handler.recheck_waiting()
    assert (await ledger.message(story.message_id))["status"] == "delivered"


async def test_messages_without_a_receipt_are_given_up_and_still_take_one_that_comes_after_all(ledgers: Two) -> None:
    ledger = ledgers[0]
    silent, unanswered, fresh = Story(now=now_ms() - 73 * 3_600_000), Story(now=now_ms() - 30 * 3_600_000), Story()
    await ledger.handle(silent.prepared(), silent.submitted())
    await ledger.handle(unanswered.prepared(), unanswered.submitted([None], outcome="unknown"))
    await ledger.handle(fresh.prepared(), fresh.submitted())
    await ledger.rows("UPDATE messages SET updated_at = accepted_at WHERE message_id = ANY($1::uuid[]) RETURNING 1",
                      [silent.message_id, unanswered.message_id])  # fmt: skip
    await ledger.housekeeping.lost()
    found = [await ledger.message(s.message_id) for s in (silent, unanswered, fresh)]
    assert [(row["status"], row["reason"]) for row in found] == [
        ("unknown", "no_receipt"), ("unknown", "no_answer"), ("submitted", None),
    ]  # fmt: skip
    await ledger.handle(silent.receipt(at=now_ms()))
    await ledger.rows("UPDATE waiting_receipts SET check_at = 0 RETURNING 1")
    await ledger.handler.recheck_waiting()
    assert (await ledger.message(silent.message_id))["status"] == "delivered"


async def test_a_receipt_that_nothing_explains_is_given_up_after_a_day_and_counted(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story()
    await ledger.handle(story.receipt())
    await ledger.housekeeping.waiting()
    assert b"relais_receipts_unmatched" in ledger.metrics.exposition()
    await ledger.rows("UPDATE waiting_receipts SET received_at = received_at - 86400001 RETURNING 1")
    await ledger.housekeeping.waiting()
    assert await ledger.rows("SELECT 1 FROM waiting_receipts WHERE carrier_message_id = $1", story.carrier_id) == []


async def test_rows_lie_in_their_day_of_birth_and_old_days_are_dropped_whole(ledgers: Two, parts: Parts) -> None:
    ledger, story = ledgers[0], Story()
    await ledger.handle(story.prepared(), story.submitted())
    async with ledger.database.hot("*") as connection:
        name = await connection.fetchval(
            "SELECT tableoid::regclass::text FROM messages WHERE message_id = $1", story.message_id
        )
        assert name != "messages_default"
        old = day_of_message(story.message_id) - 100
        assert await connection.fetchval("SELECT make_partition('messages', $1)", old)
    await ledger.housekeeping.partitions()
    days = {row[0] for row in await ledger.rows("SELECT partition_days('messages')")}
    assert old not in days
    assert story.day in days
    connection = await asyncpg.connect(parts.database_url("dlr-processor"))
    await connection.execute("SELECT set_config('relais.tenants', '*', false)")
    assert await connection.fetchval(f"SELECT count(*) FROM {name}") == 0, "a partition by its own name shows nothing"
    await connection.close()


async def test_two_tenants_never_meet_in_the_ledger(ledgers: Two) -> None:
    ledger, mine, theirs = ledgers[0], Story("acme"), Story("other")
    theirs.number_hash = mine.number_hash
    await ledger.handle(mine.prepared(), theirs.prepared(), mine.submitted(), theirs.submitted())
    async with ledger.database.hot("other") as connection:
        for table in ("messages", "parts"):
            found = await connection.fetch(
                f"SELECT tenant_id FROM {table} WHERE message_id = ANY($1::uuid[])",
                [mine.message_id, theirs.message_id],
            )
            assert [row[0] for row in found] == ["other"]
    async with ledger.database.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 0, "no tenant named, no row"


async def test_a_record_that_names_another_tenants_message_is_refused_and_changes_nothing(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story("acme")
    await ledger.handle(story.prepared())
    before = dict(await ledger.message(story.message_id))
    forged = Story("other")
    forged.message_id = story.message_id
    with pytest.raises((PoisonError, asyncpg.InsufficientPrivilegeError)):
        await ledger.handle(forged.submitted())
    with pytest.raises(PoisonError):
        await ledger.handle(forged.submitted(), Story("acme").prepared())
    assert dict(await ledger.message(story.message_id)) == before


def inbound(story: Story, keyword: str | None = "stop", recipient: str = "SHOP") -> InboundReceived:
    return InboundReceived(
        event_id=f"in:{story.message_id}:{keyword}", tenant_id="system", occurred_at=now_ms(), carrier="mercure",
        number=b"sealed", number_hash=story.number_hash, recipient=recipient, text=b"sealed", keyword=keyword,
    )  # fmt: skip


async def test_a_stop_is_tied_to_the_tenant_whose_sender_it_answers_or_else_to_all_who_sent_recently(
    ledgers: Two,
) -> None:
    ledger, mine, theirs = ledgers[0], Story("acme"), Story("other")
    theirs.number_hash = mine.number_hash
    await ledger.handle(mine.prepared(), theirs.prepared(), mine.submitted(), theirs.submitted(sender="BANK"))

    async def owners(event: InboundReceived) -> list[str]:
        await ledger.handle(event)
        await ledger.handle(event)
        rows = await ledger.rows("SELECT tenant_id FROM opt_outs WHERE event_id = $1 ORDER BY 1", event.event_id)
        return [row[0] for row in rows]

    assert await owners(inbound(mine)) == ["acme"]
    assert await owners(inbound(theirs, recipient="38123")) == ["acme", "other"]
    assert await owners(inbound(mine, keyword=None)) == []
    told = {
        (r.key, r.topic)
        for r in await ledger.told_of()
        if r.key in (mine.message_id.encode(), theirs.message_id.encode())
    }
    # Reports hear whose message was answered; where two may be meant, of neither.
    assert (mine.message_id.encode(), REPLIED.name) in told
    assert (theirs.message_id.encode(), REPLIED.name) not in told
    stranger = inbound(Story())
    assert await owners(stranger) == []
    kept = await ledger.rows("SELECT tenant_id FROM inbound WHERE event_id = $1", stranger.event_id)
    assert [row[0] for row in kept] == ["system"]


async def test_a_stop_that_overtakes_the_submission_it_answers_finds_its_tenant_later(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story()
    event = inbound(story)
    await ledger.handle(event)
    await ledger.handle(story.prepared(), story.submitted())
    await ledger.housekeeping.late_owners()
    rows = await ledger.rows("SELECT tenant_id, contact_id FROM opt_outs WHERE event_id = $1", event.event_id)
    assert [tuple(row) for row in rows] == [("acme", "c" * 32)]


async def test_the_hot_queries_walk_indexes_even_on_tables_nobody_has_analysed(ledgers: Two) -> None:
    ledger, story = ledgers[0], Story()
    async with ledger.database.hot("*") as connection:
        await statements.tune(connection)
        for query, arguments in (
            (statements._LOAD_MESSAGES, (story.day, [story.message_id])),
            (statements._LOAD_PARTS, (story.day, [story.message_id])),
            (statements._FIND_RECENT, ([1], ["x"], ["mercure"], story.day - 1)),
            (statements._FIND_UNKNOWN, ([1], ["x"], ["mercure"], ["SHOP"])),
        ):
            plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + query, *arguments))
            assert "Seq Scan" not in plan, plan

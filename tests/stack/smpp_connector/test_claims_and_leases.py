"""The claims table and the leases on a real PostgreSQL: who may write what, and when no more."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio
from shared.db.database import Database
from smpp_connector.adapters.claims import Claims, Key, Recorded, Wanted
from smpp_connector.adapters.leases import Lease, Leases, SlotReport
from smpp_connector.domain.claim_rules import Outcome
from smpp_connector.domain.settlement import About, Settlement, pack_about
from support.parts import Parts

pytestmark = pytest.mark.stack

ABOUT = About("acme", "h", "Relais", None, 1, "EUR", "least_cost", "marketing")
_ids = itertools.count(random.randrange(1 << 40))
_carriers = itertools.count(1)


def keys(count: int) -> list[Key]:
    return [(f"00000000-0000-8000-8000-{next(_ids):012x}", 1) for _ in range(count)]


def wanted(found: Sequence[Key], tenant: str = "acme") -> list[Wanted]:
    return [Wanted(key, tenant, pack_about(ABOUT)) for key in found]


def end(key: Key, outcome: Outcome, slot: int = 0) -> Settlement:
    return Settlement(*key, slot, outcome, None, 5, ABOUT, [(0, "id")] if outcome is Outcome.SUBMITTED else ())


@dataclass
class Table:
    parts: Parts
    carrier: str
    claims: Claims
    database: Database

    def leases(self, owner: str, lease_s: float = 1.0) -> Leases:
        return Leases(self.database, self.carrier, owner, lease_s=lease_s)

    async def lease(self, owner: str = "one", lease_s: float = 60.0) -> Lease:
        (lease,) = await self.leases(owner, lease_s).acquire(1, 1)
        return lease


@pytest_asyncio.fixture(loop_scope="session")
async def table(parts: Parts) -> AsyncIterator[Table]:
    await parts.migrate("smpp-connector")
    carrier = f"claims-{next(_carriers)}-{next(_ids)}"
    url = parts.database_url("smpp-connector")
    claims, database = Claims(url, carrier, "test"), Database(url, "test")
    await claims.open()
    await database.open()
    yield Table(parts, carrier, claims, database)
    await claims.close()
    await database.close()


async def test_a_claim_is_made_once_whoever_asks_and_however_often(table: Table) -> None:
    lease = await table.lease()
    found = keys(20)
    answers = await asyncio.gather(
        *(table.claims.arm(wanted(found), [], 0, lease.epoch, token) for token in range(1, 9))
    )
    assert sorted(key for answer in answers for key in answer) == sorted(found)
    assert await table.claims.arm(wanted(found), wanted(found), 0, lease.epoch, 99) == set()
    other = Claims(table.parts.database_url("smpp-connector"), "another-carrier", "test")
    await other.open()
    assert await other.arm(wanted(found), wanted(found), 0, lease.epoch, 7) == set()
    await other.close()


async def test_only_a_free_claim_can_be_taken_again(table: Table) -> None:
    lease = await table.lease()
    free, done, open_one = keys(3)
    await table.claims.arm(wanted([free, done, open_one]), [], 0, lease.epoch, 1)
    recorded = [Recorded(end(free, Outcome.FREE), lease.epoch), Recorded(end(done, Outcome.SUBMITTED), lease.epoch)]
    assert await table.claims.record(recorded, []) == {free, done}
    assert await table.claims.arm([], wanted([free, done, open_one]), 0, lease.epoch, 2) == {free}
    look = await table.claims.look([free, done, open_one])
    assert (look[free].outcome, look[free].token) == (None, 2)
    assert (look[done].outcome, look[open_one].outcome) == ("submitted", None)


async def test_what_was_never_written_ends_once_and_cannot_be_claimed_after(table: Table) -> None:
    lease = await table.lease()
    fresh, free, open_one = keys(3)
    await table.claims.arm(wanted([free, open_one]), [], 0, lease.epoch, 1)
    await table.claims.record([Recorded(end(free, Outcome.FREE), lease.epoch)], [])
    ended = [end(k, Outcome.RETURNED) for k in (fresh, free, open_one)]
    assert await table.claims.record([], ended) == {fresh, free}
    assert await table.claims.record([], ended) == set()
    assert await table.claims.arm(wanted([fresh, free]), wanted([free]), 0, lease.epoch, 2) == set()


async def test_under_a_lease_that_is_over_nothing_is_claimed(table: Table) -> None:
    lease = await table.lease(lease_s=0.3)
    assert await table.claims.arm(wanted(keys(1)), [], 0, lease.epoch, 1)
    await asyncio.sleep(0.4)
    assert await table.claims.arm(wanted(keys(1)), [], 0, lease.epoch, 1) == set()
    second = await table.lease("two")
    assert second.epoch == lease.epoch + 1
    assert await table.claims.arm(wanted(keys(1)), [], 0, lease.epoch, 1) == set()
    assert await table.claims.arm(wanted(keys(1)), [], 0, second.epoch, 1)


async def test_open_claims_of_a_dead_owner_become_unknown_and_his_late_answers_change_nothing(table: Table) -> None:
    first = await table.lease(lease_s=0.3)
    lost, answered = keys(2)
    await table.claims.arm(wanted([lost, answered]), [], 0, first.epoch, 1)
    await table.claims.record([Recorded(end(answered, Outcome.SUBMITTED), first.epoch)], [])
    assert await table.claims.sweep("no_answer", 9) == []  # he lives
    assert await table.claims.declare_unknown([lost], "no_answer", 9) == set()
    await asyncio.sleep(0.4)
    second = await table.lease("two")
    mine = keys(1)
    await table.claims.arm(wanted(mine), [], 0, second.epoch, 2)
    swept = await table.claims.sweep("no_answer", 9)
    assert [(c.message_id, c.outcome) for c in swept] == [(lost[0], "unknown")]
    assert await table.claims.record([Recorded(end(lost, Outcome.SUBMITTED), first.epoch)], []) == set()
    look = await table.claims.look([lost, answered, *mine])
    assert [look[k].outcome for k in (lost, answered, *mine)] == ["unknown", "submitted", None]
    assert await table.claims.unknown_before([(lost[0], 2), (answered[0], 2)]) == {(lost[0], 2)}


async def test_renewing_keeps_a_lease_and_one_that_ran_out_is_lost(table: Table) -> None:
    leases = table.leases("one", 0.8)
    (lease,) = await leases.acquire(1, 1)
    for _ in range(4):
        await asyncio.sleep(0.3)
        await leases.renew([SlotReport(lease, True, 0.0)], swept=True)
        assert not lease.lost
    assert await table.leases("two").acquire(1, 1) == []
    assert await leases.binds_up() == 1
    await asyncio.sleep(1.0)
    await leases.renew([SlotReport(lease, True, 0.0)], swept=True)
    assert lease.lost
    (taken,) = await table.leases("two").acquire(1, 1)
    assert taken.epoch == lease.epoch + 1
    await table.leases("one").release(lease)  # no longer his to give away
    assert await table.leases("three").acquire(1, 1) == []
    await table.leases("two").release(taken)
    assert len(await table.leases("three").acquire(1, 1)) == 1


async def test_many_processes_never_hold_more_slots_than_there_are(table: Table) -> None:
    found = await asyncio.gather(*(table.leases(f"p{n}", 30).acquire(3, 2) for n in range(6)))
    held = [lease.slot for leases in found for lease in leases]
    assert sorted(held) == [0, 1, 2]


async def test_the_connectors_own_role_sees_no_claim_without_saying_for_whom(table: Table) -> None:
    lease = await table.lease()
    found = keys(2)
    await table.claims.arm([*wanted(found[:1], "acme"), *wanted(found[1:], "other")], [], 0, lease.epoch, 1)
    connection = await asyncpg.connect(table.parts.database_url("smpp-connector"))
    try:
        count = "SELECT count(*) FROM claims WHERE carrier = $1"
        assert await connection.fetchval(count, table.carrier) == 0
        await connection.execute("SELECT set_config('relais.tenants', 'acme', false)")
        assert await connection.fetchval(count, table.carrier) == 1
    finally:
        await connection.close()

"""Keys are shared by all who may, kept from those who may not, and gone after their life."""

import asyncio

import asyncpg
import pytest
from shared.crypto.sealing import CannotOpenError, Kind
from shared.crypto.vault import Vault, shred
from support.parts import Parts

NOW = 1_795_000_000_000
DAY = 86_400_000


async def vault(parts: Parts, service: str) -> tuple[Vault, asyncpg.Pool]:
    pool = await asyncpg.create_pool(parts.database_url(service), min_size=1, max_size=2)
    return Vault(pool, parts.master), pool


async def test_what_one_service_seals_another_opens_and_two_that_start_together_agree_on_the_key(parts: Parts) -> None:
    (one, pool1), (two, pool2) = await vault(parts, "ingest"), await vault(parts, "segmenter")
    await asyncio.gather(*(v.ready_for(["acme"], [Kind.NUMBER, Kind.TEXT], NOW) for v in (one, two)))
    assert one.sealer("acme", Kind.TEXT, NOW).key_id == two.sealer("acme", Kind.TEXT, NOW).key_id
    sealed = one.sealer("acme", Kind.TEXT, NOW).seal("bonjour")
    await two.load([sealed])
    assert two.open("acme", Kind.TEXT, sealed) == "bonjour"
    with pytest.raises(CannotOpenError):
        two.open("other", Kind.TEXT, sealed)
    with pytest.raises(CannotOpenError):
        two.open("acme", Kind.NUMBER, sealed)
    await pool1.close()
    await pool2.close()


async def test_the_router_opens_numbers_and_never_texts(parts: Parts) -> None:
    (one, pool1), (router, pool2) = await vault(parts, "ingest"), await vault(parts, "router")
    await one.ready_for(["acme"], [Kind.NUMBER, Kind.TEXT], NOW)
    number = one.sealer("acme", Kind.NUMBER, NOW).seal("+33612345678")
    text = one.sealer("acme", Kind.TEXT, NOW).seal("secret")
    await router.load([number, text])
    assert router.open("acme", Kind.NUMBER, number) == "+33612345678"
    with pytest.raises(CannotOpenError):
        router.open("acme", Kind.TEXT, text)
    await pool1.close()
    await pool2.close()


async def test_analytics_reads_no_key_at_all(parts: Parts) -> None:
    connection = await asyncpg.connect(parts.database_url("analytics"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT * FROM vault.keys")
    await connection.close()


async def test_a_key_past_its_life_is_shredded_and_what_it_sealed_stays_shut(parts: Parts) -> None:
    one, pool = await vault(parts, "ingest")
    await one.ready_for(["acme"], [Kind.TEXT], NOW - 9 * DAY)
    await one.ready_for(["acme"], [Kind.TEXT], NOW)
    old = one.sealer("acme", Kind.TEXT, NOW - 9 * DAY).seal("old")
    young = one.sealer("acme", Kind.TEXT, NOW).seal("young")
    owner = await asyncpg.create_pool(parts.owner_url(), min_size=1, max_size=1)
    assert await shred(owner, NOW) == 1
    later = Vault(pool, parts.master)
    await later.load([old, young])
    assert later.open("acme", Kind.TEXT, young) == "young"
    with pytest.raises(CannotOpenError):
        later.open("acme", Kind.TEXT, old)
    await owner.close()
    await pool.close()

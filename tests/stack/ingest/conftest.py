from collections.abc import AsyncIterator

import pytest_asyncio
from ingest_door import Door, Owners, Topics, running_door
from support.parts import Parts


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def owners() -> AsyncIterator[Owners]:
    async with Owners().running() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def door(parts: Parts, owners: Owners) -> AsyncIterator[Door]:
    async with running_door(parts, owners, RELAIS_PATIENCE_S="3") as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def topics(parts: Parts, door: Door) -> Topics:
    return Topics(parts)

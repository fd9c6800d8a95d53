"""The warehouse reads whole topics, so it gets a broker of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio
from support.parts import Parts, real_parts


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def parts() -> AsyncIterator[Parts]:
    async with real_parts() as found:
        yield found

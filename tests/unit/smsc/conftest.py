from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from console.smsc import Behaviour, Outcome, Smsc, SmscConfig
from pydantic import SecretStr

PROMPT = Behaviour(errors=(), outcomes=(Outcome(stat="DELIVRD", delay={"constant": 0.0}),))
StartSmsc = Callable[..., Awaitable[Smsc]]


@pytest.fixture
async def start_smsc() -> AsyncIterator[StartSmsc]:
    """Start simulators that deliver everything at once unless told otherwise; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def start(behaviour: dict[str, Any] | None = None, script: Any = None, **settings: Any) -> Smsc:
            account = {"system_id": "relais", "password": SecretStr("secret"), "port": 0, "control_port": None}
            config = SmscConfig.model_validate(
                account | {"behaviour": PROMPT.changed(behaviour or {}), "seed": 7} | settings
            )
            return await stack.enter_async_context(Smsc(config, script=script))

        yield start

"""kill -9 in the middle: nothing lost, nothing written twice, unknowns counted. `make soak` kills a hundred times."""

import asyncio
import os
import random

import pytest
from stack.smpp_connector.conftest import QUICK, MakeWire, eventually

pytestmark = pytest.mark.stack

WINDOW = 20
KILLS = int(os.environ.get("RELAIS_TEST_KILLS", "4"))
MESSAGES_A_KILL = 750  # what a connector gets through before it dies, so that none is killed idle


async def test_killed_again_and_again_under_load_it_loses_nothing_and_repeats_nothing(make_wire: MakeWire) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    wire = await make_wire(window=WINDOW, behaviour=QUICK.changed({"latency": {"low": 0.005, "high": 0.04}}))
    requests = await wire.flood(MESSAGES_A_KILL * KILLS)
    codes = await wire.flood(200, "otp")
    before = 0
    for _ in range(KILLS):
        process = await wire.running()
        await eventually(lambda before=before: len(wire.smsc.history) > before + 100)  # type: ignore[misc]
        await asyncio.sleep(chance.uniform(0, 0.4))
        await process.kill()
        before = len(wire.smsc.history)
    await wire.running()
    await wire.all_ended([*requests, *codes], 120 + KILLS)

    taken, ends = wire.taken(), wire.submitted()
    assert not wire.twice()
    told = {m: e.outcome for m, e in ends.items()}
    assert set(told.values()) <= {"submitted", "unknown"}
    lost = [m for m, outcome in told.items() if outcome == "submitted" and taken[wire.number_of[m]] != 1]
    assert not lost
    unknown = [m for m, outcome in told.items() if outcome == "unknown"]
    assert len(unknown) <= KILLS * WINDOW
    assert {str(m) for m, row in (await wire.claims()).items() if row["outcome"] == "unknown"} == set(unknown)
    for request in codes:
        returned = wire.events(request, "MessageReturned")
        assert len(returned) == (told[request.message_id] == "unknown")
    assert not [e for r in requests for e in wire.events(r, "MessageReturned")]
    print(f"{len(unknown)} unknown after {KILLS} kills, {len(wire.smsc.history)} submits")

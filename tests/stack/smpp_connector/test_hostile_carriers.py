"""Every script of the simulator's library, against a real connector process: whatever a carrier does, nothing is lost,
no marketing message reaches a handset twice, and the connector goes on."""

import asyncio

import psutil
import pytest
from console.smsc import library
from stack.smpp_connector.conftest import MakeWire, Wire, eventually

pytestmark = pytest.mark.stack

MESSAGES, CODES = 300, 50
TPS = 200  # so that a script by the clock finds work to spoil
MOST_RSS = 150 * 1024 * 1024
SCRIPTS = [name for name, _ in library()]
AT_ONCE = 9  # scripts in one test: starting processes is what takes the time
GROUPS = [SCRIPTS[start : start + AT_ONCE] for start in range(0, len(SCRIPTS), AT_ONCE)]
TIMERS = {
    "RELAIS_RESPONSE_TIMEOUT_S": "3",
    "RELAIS_SESSION_INIT_S": "2",
    "RELAIS_ENQUIRE_LINK_S": "1",
    "RELAIS_ENQUIRE_ANSWER_S": "1.5",
    "RELAIS_DOWN_LIMIT_S": "120",  # a returned message would hide how its attempt ended
}


async def troubles(wire: Wire, name: str) -> list[str]:
    """What is wrong after this carrier's day; empty when nothing is."""
    process = await wire.running(90, **TIMERS)  # nine start at once
    messages = await wire.flood(MESSAGES)
    codes = await wire.flood(CODES, "otp")
    found = []
    try:
        await wire.all_ended([*messages, *codes], 60)
    except AssertionError:
        ended = set(wire.submitted()) | {e.message_id for e in wire.seen["MessageDropped"]}
        open_claims = sum(row["outcome"] is None for row in (await wire.claims()).values())
        found.append(f"{MESSAGES + CODES - len(ended)} messages have no end, {open_claims} claims are open")
    if twice := wire.twice():
        found.append(f"{len(twice)} messages were taken twice")
    taken, ends = wire.taken(), wire.submitted()
    told = {m: e.outcome for m, e in ends.items()}
    if lost := [m for m, o in told.items() if o == "submitted" and taken[wire.number_of[m]] != 1]:
        found.append(f"{len(lost)} messages count as submitted and the carrier has none of them")
    if denied := [m for m, o in told.items() if o in ("rejected", "failed") and taken[wire.number_of[m]]]:
        found.append(f"{len(denied)} messages count as refused and the carrier has them")
    recorded = {m: row["outcome"] for m, row in (await wire.claims()).items()}
    if any(recorded.get(m) != outcome for m, outcome in told.items()):
        found.append("what was told is not what the claims say")
    assert process.process is not None
    if process.process.returncode is not None:
        return [*found, f"the connector ended: {process.log.read_text()[-1500:]}"]
    rss = psutil.Process(process.process.pid).memory_info().rss
    if rss > MOST_RSS:
        found.append(f"the connector takes {rss >> 20} MB")
    try:
        await eventually(lambda: not any(wire.smsc.waiting().values()), 15)
        hashes = {wire.sent[m].number_hash for m in told if taken[wire.number_of[m]]}
        received = {e.number_hash for e in wire.seen["ReceiptReceived"]}
        if name not in RECEIPTS_MISSING:
            await eventually(lambda: hashes <= {e.number_hash for e in wire.seen["ReceiptReceived"]}, 10)
    except AssertionError:
        received = {e.number_hash for e in wire.seen["ReceiptReceived"]}
        found.append(f"{len(hashes - received)} receipts missing; waiting {wire.smsc.waiting()}")
    if await process.stop() != 0:
        found.append("it did not stop in good order")
    if "Traceback" in process.log.read_text():
        found.append(f"an error escaped: {process.log.read_text()[-3000:]}")
    print(
        f"{name}: {len(wire.smsc.history)} submits, ends {dict(sorted(_count(told.values()).items()))}, {rss >> 20} MB"
    )
    return found


def _count(values: object) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:  # type: ignore[attr-defined]
        counts[value] = counts.get(value, 0) + 1
    return counts


RECEIPTS_MISSING = {"receipt_lost"}  # the script's whole point


@pytest.mark.parametrize("scripts", GROUPS, ids=lambda scripts: f"{scripts[0]}-to-{scripts[-1]}")
async def test_whatever_the_carrier_does_nothing_is_lost_or_sent_twice(make_wire: MakeWire, scripts: list[str]) -> None:
    wires = [await make_wire(script=name, binds=2, window=20, tps=TPS) for name in scripts]
    found = await asyncio.gather(*(troubles(wire, name) for wire, name in zip(wires, scripts, strict=True)))
    assert {name: what for name, what in zip(scripts, found, strict=True) if what} == {}

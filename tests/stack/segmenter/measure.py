"""How fast one segmenter is: run by hand, `pytest -s tests/stack/segmenter/measure.py`. Prints, asserts little."""

import asyncio
import time
import uuid
from typing import Any

import psutil
from shared.contracts.topics import accepted, lane_of
from stack.segmenter.conftest import Seg

PEOPLE = 20_000


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def told(what: str, count: int, wall_s: float, cpu: float) -> None:
    print(f"\n{what}: {count / wall_s:,.0f}/s, {cpu / count * 1e6:.0f} us of CPU each")


async def test_measure(seg: Seg) -> None:
    await seg.replicas[1].kill()  # one process
    await asyncio.sleep(12)
    process = seg.replicas[0].process
    assert process is not None
    pid, mark = process.pid, uuid.uuid4().hex[:6]
    cpu, started = cpu_s(pid), time.perf_counter()
    for start in range(0, PEOPLE, 1000):
        contacts = [
            {
                "ref": f"{mark}-{i}",
                "number": f"+3361{i:07d}",
                "attributes": {"mark": mark, "first_name": "Zoé", "city": "Lyon", "points": i},
                "locale": "fr",
                "time_zone": "Europe/Paris",
            }
            for i in range(start, start + 1000)
        ]
        await seg.ok("POST", "/v1/contacts/batch", {"contacts": contacts})
    told("contacts/batch", PEOPLE, time.perf_counter() - started, cpu_s(pid) - cpu)
    cpu, started = cpu_s(pid), time.perf_counter()
    for start in range(0, PEOPLE, 1000):
        consents = [
            {"contact": f"{mark}-{i}", "purpose": "marketing", "state": "granted", "source": "web"}
            for i in range(start, start + 1000)
        ]
        await seg.ok("POST", "/v1/consents/batch", {"consents": consents})
    told("consents/batch", PEOPLE, time.perf_counter() - started, cpu_s(pid) - cpu)
    await asyncio.sleep(3)
    campaign = await seg.campaign(
        {"attr": "mark", "op": "eq", "value": mark},
        "{{ first_name }}, vos {{ points }} points vous attendent : -15% jusqu'à dimanche{% if city == 'Lyon' %}, à Lyon{% endif %}. STOP au 36180",
    )
    started = time.perf_counter()
    print(
        "\ndry run",
        (await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run"))["would_send"],
        f"{time.perf_counter() - started:.2f} s",
    )
    cpu, started = cpu_s(pid), time.perf_counter()
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    print(f"launch {time.perf_counter() - started:.2f} s")
    await seg.until(campaign, "completed", within_s=120)
    told("expansion", PEOPLE, time.perf_counter() - started, cpu_s(pid) - cpu)
    await accept_many(seg, pid, "otp", {"text": "Votre code est 123456, valable dix minutes."})
    await accept_many(
        seg, pid, "marketing", {"template": campaign, "variables": {"first_name": "Ann", "points": 3, "city": "Lyon"}}
    )


async def accept_many(seg: Seg, pid: int, purpose: str, content: dict[str, Any]) -> None:
    before = len(seg.seen)
    outgoing = []
    seg_publish, seg.publisher.publish = seg.publisher.publish, keep(outgoing)  # type: ignore[method-assign]
    try:
        for i in range(PEOPLE):
            await seg.accept(f"+3361{i:07d}", content, purpose)
    finally:
        seg.publisher.publish = seg_publish  # type: ignore[method-assign]
    assert all(r.topic == accepted(lane_of(purpose)).name for r in outgoing)
    cpu, started = cpu_s(pid), time.perf_counter()
    await seg.publisher.publish(outgoing)
    while len(seg.seen) - before < PEOPLE:
        await asyncio.sleep(0.01)
    told(f"accepted {purpose}", PEOPLE, time.perf_counter() - started, cpu_s(pid) - cpu)


def keep(outgoing: list[Any]) -> Any:
    async def publish(records: Any) -> None:
        outgoing.extend(records)

    return publish

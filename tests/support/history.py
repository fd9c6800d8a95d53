"""The history checker: from what the API answered, what simulated carriers saw and what the ledger says, it proves
that nothing was lost, nothing sent twice, states only went forward, and sums agree.

Each message of a test goes to a number of its own, so that a carrier's record tells which message it was.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import msgspec

from support.stack import LocalStack

FINAL = {"delivered", "undelivered", "expired", "rejected", "unknown", "dropped"}
RANK = {"accepted": 0, "prepared": 1, "held": 2, "deferred": 2, "submitted": 3} | dict.fromkeys(FINAL, 4)
STAT = {
    "DELIVRD": "delivered",
    "UNDELIV": "undelivered",
    "EXPIRED": "expired",
    "REJECTD": "rejected",
    "DELETED": "undelivered",
}


@dataclass
class Seen:
    """What the carriers saw of one number: submits taken, how each was or will be reported."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


async def carriers_saw(stack: LocalStack, carriers: Iterable[str]) -> dict[str, Seen]:
    """Every submit of the simulated carriers, by destination (with a leading +)."""
    found: dict[str, Seen] = {}
    async with aiohttp.ClientSession() as session:
        for carrier in carriers:
            async with session.get(
                f"{stack.control(carrier)}/history", params={"since": 0, "limit": 10_000_000}
            ) as answer:
                for line in (await answer.read()).splitlines():
                    row = msgspec.json.decode(line)
                    seen = found.setdefault("+" + row["to"].lstrip("+"), Seen())
                    (seen.taken if row["status"] == 0 else seen.refused).append({**row, "carrier": carrier})
    return found


async def ledger(stack: LocalStack, message_ids: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Rows of the ledger by message id, read past row-level security."""
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        if message_ids is None:
            rows = await connection.fetch("SELECT * FROM dlr_processor.messages")
        else:
            rows = await connection.fetch(
                "SELECT * FROM dlr_processor.messages WHERE message_id = ANY($1::uuid[])", list(message_ids)
            )
    finally:
        await connection.close()
    return {str(row["message_id"]): dict(row) for row in rows}


async def without_answer(stack: LocalStack, message_ids: Iterable[str]) -> set[str]:
    """Those with an attempt that no carrier has answered for."""
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        rows = await connection.fetch(
            "SELECT message_id::text FROM dlr_processor.parts WHERE outcome = 'unknown' AND message_id = ANY($1::uuid[])",
            list(message_ids),
        )
    finally:
        await connection.close()
    return {row[0] for row in rows}


async def until_all_final(
    stack: LocalStack,
    message_ids: Iterable[str],
    within_s: float = 90,
    *,
    may_never_have_left: Mapping[str, str] | None = None,
    carriers: Iterable[str] = ("mercure", "iris"),
) -> dict[str, dict[str, Any]]:
    """Waits until the ledger has a final state for every message. Says what is still open when it takes too long.

    `may_never_have_left` (id to number), where connectors are killed: a message that was claimed but that no simulated
    carrier ever saw has no receipt to wait for; the ledger gives it up after a day, this after it is known to be so.
    """
    wanted = set(message_ids)
    deadline = time.monotonic() + within_s
    while True:
        rows = await ledger(stack, wanted)
        open_ones = [m for m in wanted if m not in rows or rows[m]["status"] not in FINAL]
        if open_ones and may_never_have_left is not None:
            unanswered, seen = await without_answer(stack, open_ones), await carriers_saw(stack, carriers)
            open_ones = [m for m in open_ones if m not in unanswered or seen.get(may_never_have_left[m], Seen()).taken]
        if not open_ones:
            return rows
        if time.monotonic() > deadline:
            states = Counter(rows[m]["status"] if m in rows else "not in the ledger" for m in open_ones)
            raise AssertionError(
                f"after {within_s} s {len(open_ones)} of {len(wanted)} messages are open: {dict(states)}"
            )
        await asyncio.sleep(0.5)


def check(
    messages: Mapping[str, str],
    rows: Mapping[str, Mapping[str, Any]],
    seen: Mapping[str, Seen],
    *,
    unknown_at_most: int = 0,
    parts: int = 1,
) -> Counter[str]:
    """Holds one test's messages (id to number) to the promises. Answers how many ended in each state.

    A refusal (throttle, error) is no send; a message may be taken once for each of its parts. One that is still
    `submitted` counts as unknown: it must be one that no carrier has.
    """
    ends: Counter[str] = Counter()
    for message_id, number in messages.items():
        row = rows.get(message_id)
        assert row is not None, f"lost: {message_id} was accepted and the ledger does not know it"
        status = row["status"]
        ends[status] += 1
        taken = seen.get(number, Seen()).taken
        assert len(taken) <= parts, f"doubled: {message_id} was taken {len(taken)} times with {parts} part(s)"
        if status == "submitted":
            assert not taken, f"sent, and still without an end: {message_id}"
        elif status == "dropped":
            assert not taken, f"sent though dropped ({row['reason']}): {message_id}"
        elif status == "delivered":
            assert len(taken) == parts, f"delivered without being sent: {message_id}"
        if taken and parts == 1 and status != "unknown" and taken[0]["stat"] in STAT:
            assert STAT[taken[0]["stat"]] == status, (
                f"the carrier says {taken[0]['stat']}, the ledger {status}: {message_id}"
            )
    unknown = ends["unknown"] + ends["submitted"]
    assert unknown <= unknown_at_most, f"{unknown} unknown, at most {unknown_at_most} allowed"
    return ends


def check_forward(events: list[dict[str, Any]]) -> None:
    """The public events of one message only go forward."""
    ranks = [RANK[e["status"]] for e in events]
    assert ranks == sorted(ranks), [e["status"] for e in events]

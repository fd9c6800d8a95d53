"""A segment's people: counted, sampled, or walked through for a dry run."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

from msgspec import Struct, field

from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.people import NO_VOICES, Member, load_voices, member_columns, member_of
from segmenter.domain.audience import decide_members
from segmenter.domain.compile_filter import Condition
from segmenter.domain.consent import MARKETING
from segmenter.domain.frequency_caps import admits, refused_by
from segmenter.domain.prepare import Drop
from segmenter.domain.templates import Template

SAMPLES: Final = 10
PAGE: Final = 500
MOST_TRIED: Final = 100_000  # people of a dry run: about ten seconds


class DryRun(Struct):
    """What a launch now would do. `complete` is false when only the first hundred thousand people were tried."""

    audience: int = 0
    would_send: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    parts: int = 0
    messages_by_parts: dict[str, int] = field(default_factory=dict)
    encodings: dict[str, int] = field(default_factory=dict)
    countries: dict[str, dict[str, int]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = True


async def size_and_samples(connection: Any, tenant: str, segment: Condition) -> tuple[int, list[dict[str, Any]]]:
    """`segment`'s placeholders start at $2. Samples are refs with country and locale: no number, no attribute."""
    where = f"FROM contacts c WHERE c.tenant_id = $1 AND {segment.sql}"
    size = await connection.fetchval(f"SELECT count(*) {where}", tenant, *segment.params)
    rows = await connection.fetch(
        f"SELECT ref AS contact, country, locale {where} ORDER BY c.contact_id LIMIT {SAMPLES}", tenant, *segment.params
    )
    return size, [dict(row) for row in rows]


async def dry_run(
    connection: Any, tenant: str, segment: Condition, template: Template, purpose: str, caps: CapStore, now: int
) -> DryRun:
    """Decides for everyone as expansion would, and sends nothing."""
    result = DryRun()
    cap = (await caps.rules(connection, [tenant])).get((tenant, purpose))
    dropped, by_parts, encodings = Counter[str](), Counter[str](), Counter[str]()
    async for members in _pages(connection, tenant, segment):
        if result.audience >= MOST_TRIED:
            result.complete = False
            break
        result.audience += len(members)
        voices = NO_VOICES
        if purpose == MARKETING:
            voices = await load_voices(connection, [tenant], [m.contact_id for m in members])
        claimed: dict[str, list[int]] = {}
        if cap is not None:
            claimed = await caps.claimed(connection, tenant, purpose, [m.contact_id for m in members])
        for member, decided in decide_members(tenant, members, voices, template, purpose):
            decision = decided
            full = cap is not None and not admits(cap, claimed.get(member.contact_id, ()), now)
            if cap is not None and full and not isinstance(decided, Drop):
                decision = Drop("frequency_cap", refused_by(cap))
            if isinstance(decision, Drop):
                dropped[decision.reason] += 1
                if decision.detail and len(result.refusals) < SAMPLES:
                    result.refusals.append(
                        {"contact": member.ref, "reason": decision.reason, "detail": decision.detail}
                    )
                continue
            result.would_send += 1
            result.parts += decision.parts
            by_parts[str(decision.parts)] += 1
            encodings[decision.encoding] += 1
            country = result.countries.setdefault(member.country, {"messages": 0, "parts": 0})
            country["messages"] += 1
            country["parts"] += decision.parts
            if len(result.samples) < SAMPLES:
                result.samples.append(
                    {
                        "contact": member.ref, "locale": decision.locale, "text": decision.text,
                        "encoding": decision.encoding, "parts": decision.parts,
                    }
                )  # fmt: skip
        await asyncio.sleep(0)
    result.dropped, result.messages_by_parts, result.encodings = dict(dropped), dict(by_parts), dict(encodings)
    return result


async def _pages(connection: Any, tenant: str, segment: Condition) -> AsyncIterator[list[Member]]:
    """People by number; those who share one are in the same page."""
    cursor = await connection.cursor(
        f"SELECT {member_columns('c.')} FROM contacts c WHERE c.tenant_id = $1 AND {segment.sql} ORDER BY c.contact_id, c.ref",
        tenant, *segment.params,
    )  # fmt: skip
    held: list[Member] = []
    while rows := await cursor.fetch(PAGE):
        held += map(member_of, rows)
        cut = len(held)
        while cut > 0 and held[cut - 1].contact_id == held[-1].contact_id:
            cut -= 1
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held

"""A segment's people: counted, sampled, or walked through for a dry run."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.people import NO_VOICES, Member, load_voices, member_columns, member_of
from segmenter.domain.audience import Decision, decide_members
from segmenter.domain.check_content import NO_RULES, ContentRules
from segmenter.domain.compile_filter import Condition
from segmenter.domain.consent import MARKETING
from segmenter.domain.country_costs import Price, cheapest
from segmenter.domain.estimate_share import Estimate, estimated
from segmenter.domain.frequency_caps import admits, refused_by
from segmenter.domain.prepare import Drop
from segmenter.domain.templates import Template

SAMPLES: Final = 20
SAMPLED: Final = 5000
SAMPLE_FOR_COST: Final = 2000
PAGE: Final = 500
MOST_TRIED: Final = 100_000  # people of a dry run: about ten seconds


class Tried(NamedTuple):
    """A dry run, and the parts of each country and zone, by which its end is told."""

    result: "DryRun"
    places: Mapping[tuple[str, str | None], int]


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
    variants: dict[str, int] = field(default_factory=dict)
    lowest_cost: dict[str, str] | None = None
    held: dict[str, int] = field(default_factory=dict)
    """By the content rule that would hold them for a person; these are in `would_send` too."""
    without_opt_out_text: dict[str, int] = field(default_factory=dict)
    """By country that demands one: messages which do not tell how to opt out."""
    costs: list[dict[str, Any]] = field(default_factory=list)
    """By country and the carrier that asks least."""
    finish_at: str | None = None
    """The earliest end, RFC 3339; None where the windows and rates of a week do not suffice, or are not known."""


class Effect(Struct):
    """One condition of those that must all hold: how many fulfil it, and how many it alone keeps out."""

    condition: str
    fulfil: int
    removes: int


async def over_everybody(connection: Any) -> None:
    """Room for hashes of a million references within this transaction: what a filter's behaviour is looked up in."""
    await connection.execute(
        "SELECT set_config('work_mem', '64MB', true), set_config('hash_mem_multiplier', '4', true)"
    )


async def size_and_samples(connection: Any, tenant: str, segment: Condition) -> tuple[int, list[dict[str, Any]]]:
    """`segment`'s placeholders start at $2. Samples are refs with country and locale: no number, no attribute."""
    where = f"FROM contacts c WHERE c.tenant_id = $1 AND {segment.sql}"
    size = await connection.fetchval(f"SELECT count(*) {where}", tenant, *segment.params)
    return size, await samples(connection, tenant, segment)


async def samples(connection: Any, tenant: str, segment: Condition) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        f"SELECT ref AS contact, country, locale FROM contacts c WHERE c.tenant_id = $1 AND {segment.sql} "
        f"ORDER BY c.contact_id LIMIT {SAMPLES}",
        tenant, *segment.params,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def size_and_effects(
    connection: Any, tenant: str, conditions: Sequence[tuple[str, Condition]]
) -> tuple[int, list[Effect]]:
    """How many fulfil all conditions, and each one's effect, in one pass. Placeholders follow each other from $2."""
    if not conditions:
        return await connection.fetchval("SELECT count(*) FROM contacts WHERE tenant_id = $1", tenant), []
    names = [f"b{i}" for i in range(len(conditions))]
    columns = ", ".join(f"{c.sql} AS {name}" for name, (_, c) in zip(names, conditions, strict=True))
    counts = [f"count(*) FILTER (WHERE {' AND '.join(names)})"]
    for name in names:
        others = " AND ".join(n for n in names if n != name) or "true"
        counts += [f"count(*) FILTER (WHERE {name})", f"count(*) FILTER (WHERE NOT {name} AND {others})"]
    # OFFSET 0 keeps the conditions from being worked out once for each count.
    row = await connection.fetchrow(
        f"SELECT {', '.join(counts)} FROM (SELECT {columns} FROM contacts c WHERE c.tenant_id = $1 OFFSET 0) AS judged",
        tenant, *(param for _, c in conditions for param in c.params),
    )  # fmt: skip
    effects = [Effect(told, row[1 + 2 * i], row[2 + 2 * i]) for i, (told, _) in enumerate(conditions)]
    return row[0], effects


async def estimated_size(connection: Any, tenant: str, segment: Condition) -> Estimate:
    """From a sample in the order of a keyed hash. `segment` is compiled for few people, its placeholders from $2."""
    total = await connection.fetchval("SELECT count(*) FROM contacts WHERE tenant_id = $1", tenant)
    row = await connection.fetchrow(
        f"SELECT count(*), count(*) FILTER (WHERE {segment.sql}) FROM "
        f"(SELECT * FROM contacts WHERE tenant_id = $1 ORDER BY contact_id LIMIT {SAMPLED}) AS c",
        tenant, *segment.params,
    )  # fmt: skip
    return estimated(total, row[0], row[1])


class Plan(NamedTuple):
    """What a dry run decides by. `variant_of` and `templates` as in an expansion; `prices` None: nobody tells them."""

    segment: Condition
    templates: Mapping[str | None, Template]
    variant_of: Callable[[str], str | None]
    purpose: str
    prices: Sequence[tuple[str, Price]] | None
    content: ContentRules = NO_RULES
    given: Mapping[str, Any] = {}
    sender: str | None = None


async def dry_run(connection: Any, tenant: str, plan: Plan, caps: CapStore, now: int, most: int = MOST_TRIED) -> Tried:
    """Decides for everyone, or for the first `most` people, as expansion would, and sends nothing. People come in the
    order of a keyed hash, so the first of them are a fair sample of all."""
    result = DryRun()
    purpose = plan.purpose
    cap = (await caps.rules(connection, [tenant])).get((tenant, purpose))
    tally = _Tally(result, plan)
    async for members in _pages(connection, tenant, plan.segment):
        if result.audience >= most:
            result.complete = False
            break
        result.audience += len(members)
        voices = NO_VOICES
        if purpose == MARKETING:
            voices = await load_voices(connection, [tenant], [m.contact_id for m in members])
        claimed: dict[str, list[int]] = {}
        if cap is not None:
            claimed = await caps.claimed(connection, tenant, purpose, [m.contact_id for m in members])
        for member, decision in decide_members(
            tenant, members, voices, tally.template_of, purpose, plan.content, (), plan.given, plan.sender
        ):
            full = cap is not None and not admits(cap, claimed.get(member.contact_id, ()), now)
            if cap is not None and full and not isinstance(decision, Drop):
                decision = Drop("frequency_cap", refused_by(cap))
            tally.add(member, decision)
        await asyncio.sleep(0)
    tally.close()
    return Tried(result, tally.places)


class _Tally:
    """Adds up what was decided."""

    def __init__(self, result: DryRun, plan: Plan) -> None:
        self._result, self._plan = result, plan
        self._dropped, self._by_parts, self._encodings = Counter[str](), Counter[str](), Counter[str]()
        self._variants, self._costs = Counter[str](), dict[str, Decimal]()
        self._priced: dict[str, tuple[str, Price] | None] = {}
        self._by_carrier: dict[tuple[str, str, str], tuple[int, Decimal]] = {}
        self.places: Counter[tuple[str, str | None]] = Counter()  # parts by country and zone

    def template_of(self, ref: str) -> Template | None:
        return self._plan.templates.get(self._plan.variant_of(ref))

    def add(self, member: Member, decision: Decision) -> None:
        result = self._result
        if isinstance(decision, Drop):
            self._dropped[decision.reason] += 1
            if decision.detail and len(result.refusals) < SAMPLES:
                result.refusals.append({"contact": member.ref, "reason": decision.reason, "detail": decision.detail})
            return
        variant = self._plan.variant_of(member.ref)
        result.would_send += 1
        if decision.held_by is not None:
            result.held[decision.held_by] = result.held.get(decision.held_by, 0) + 1
        result.parts += decision.parts
        if self._plan.content.endings.lacks(decision.text, member.country, self._plan.purpose):
            result.without_opt_out_text[member.country] = result.without_opt_out_text.get(member.country, 0) + 1
        self._by_parts[str(decision.parts)] += 1
        self._encodings[decision.encoding] += 1
        if variant is not None:
            self._variants[variant] += 1
        country = result.countries.setdefault(member.country, {"messages": 0, "parts": 0})
        country["messages"] += 1
        country["parts"] += decision.parts
        self.places[member.country, member.time_zone] += decision.parts
        self._add_cost(member, decision.parts)
        if len(result.samples) < SAMPLES:
            result.samples.append(
                {
                    "contact": member.ref, "locale": decision.locale, "text": decision.text,
                    "encoding": decision.encoding, "parts": decision.parts,
                }
                | ({"variant": variant} if variant is not None else {})
                | ({"held_by": decision.held_by} if decision.held_by is not None else {})
            )  # fmt: skip

    def _add_cost(self, member: Member, parts: int) -> None:
        prefix = member.prefix
        if self._plan.prices is None:
            return
        if prefix not in self._priced:
            self._priced[prefix] = cheapest(self._plan.prices, prefix)
        found = self._priced[prefix]
        if found is not None:
            carrier, price = found
            key = (member.country, carrier, price.currency)
            messages, cost = self._by_carrier.get(key, (0, Decimal(0)))
            self._by_carrier[key] = (messages + 1, cost + price.price * parts)
            self._costs[price.currency] = self._costs.get(price.currency, Decimal(0)) + price.price * parts

    def close(self) -> None:
        result = self._result
        result.dropped, result.messages_by_parts = dict(self._dropped), dict(self._by_parts)
        result.encodings, result.variants = dict(self._encodings), dict(self._variants)
        if self._plan.prices is not None:
            result.lowest_cost = {currency: str(cost) for currency, cost in sorted(self._costs.items())}
            result.costs = [
                {"country": country, "carrier": carrier, "messages": messages, "cost": str(cost), "currency": currency}
                for (country, carrier, currency), (messages, cost) in sorted(self._by_carrier.items())
            ]


async def estimated_cost(
    connection: Any, tenant: str, plan: Plan, currency: str, caps: CapStore, now: int
) -> Decimal | None:
    """About what the whole audience would cost, from a sample; None when prices are not known, or in other money."""
    tried = (await dry_run(connection, tenant, plan, caps, now, SAMPLE_FOR_COST)).result
    if tried.lowest_cost is None or set(tried.lowest_cost) - {currency}:
        return None
    cost = Decimal(tried.lowest_cost.get(currency, "0"))
    if tried.complete or not tried.audience:
        return cost
    size = await connection.fetchval(
        f"SELECT count(*) FROM contacts c WHERE c.tenant_id = $1 AND {plan.segment.sql}", tenant, *plan.segment.params
    )
    return cost * int(size) / tried.audience


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

"""Campaigns: a chunk of an audience becomes messages.

Load, decide, publish, then save that the chunk is done. A crash in between repeats the chunk with the same message
ids, which everyone downstream drops.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from shared.clock import Clock
from shared.contracts.events import CampaignChunk, MessageDropped, MessagePrepared
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.ids import MessageIds
from shared.crypto.sealing import Key, Kind
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.outbox import OutboxPump
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing

from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.campaign_store import CampaignStore, Chunk, ChunkKey, Outcome, Run, RunKey
from segmenter.adapters.cap_store import Caps, CapStore, Want
from segmenter.adapters.catalog import Templates
from segmenter.adapters.coupon_store import CouponStore
from segmenter.adapters.credit import Credit
from segmenter.adapters.feed_store import FeedStore
from segmenter.adapters.held_store import Held
from segmenter.adapters.people import NO_VOICES, Member, Voices, load_members, load_voices
from segmenter.adapters.windows import Windows
from segmenter.domain import consent, numbers
from segmenter.domain.audience import Decision, decide_members, written_to
from segmenter.domain.check_content import NO_RULES, ContentRules
from segmenter.domain.consent import MARKETING
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.frequency_caps import refused_by
from segmenter.domain.prepare import Drop, Ready, checked
from segmenter.domain.templates import Template
from segmenter.domain.variants import Splitter, chooser
from segmenter.handlers.content_checks import ContentChecks, Sent
from segmenter.handlers.records import STAGE, Decided

SLICE = 100  # messages between two chances for other tasks
ERASED = "erased"  # counted in the run only: nobody is left to tell of


class Fate(NamedTuple):
    """What becomes of one person of a chunk."""

    member: Member
    decision: Decision
    message_id: str
    variant: str | None


class Slice(NamedTuple):
    """A chunk with all that its decisions go by. `templates` by variant; of a campaign of one text by None."""

    chunk: Chunk
    run: Run
    templates: dict[str | None, Template]
    members: list[Member]
    voices: Voices
    content: ContentRules = NO_RULES
    let_through: frozenset[str] = frozenset()
    given: Mapping[str, Any] = {}
    """What texts see beside a person's own: feeds, and a coupon of each pool to measure with."""
    postponed: Mapping[int, list[str]] = {}


class Keys(NamedTuple):
    number: Key
    text: Key


class ExpandChunks:
    """Handles `sms.campaign.chunk`."""

    def __init__(
        self, db: Database, vault: Vault, decided: Decided, campaigns: CampaignStore, templates: Templates, at_rest: AtRest,
        ids: MessageIds, splitter: Splitter, fingerprints: Fingerprints, credit: Credit, pump: OutboxPump, clock: Clock, caps: CapStore,
        content: ContentChecks, windows: Windows, coupons: CouponStore, feeds: FeedStore,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._decided, self._campaigns, self._templates = (
            db,
            vault,
            decided,
            campaigns,
            templates,
        )
        self._at_rest, self._ids, self._splitter, self._fingerprints = at_rest, ids, splitter, fingerprints
        self._credit, self._pump, self._clock, self._caps, self._content = credit, pump, clock, caps, content
        self._windows, self._coupons, self._feeds = windows, coupons, feeds

    async def handle(self, batch: Sequence[Received]) -> None:
        events: list[CampaignChunk] = [record.event for record in batch]
        keys = sorted({ChunkKey(e.tenant_id, e.campaign_id, e.run, e.chunk) for e in events})
        tenants = {key.tenant for key in keys}
        async with self._db.hot(tenants) as connection:
            runs, chunks = await self._campaigns.take(connection, keys)
        if not chunks:
            return
        wants: Counter[str] = Counter()
        for chunk in chunks:
            wants[chunk.key.tenant] += len(chunk.refs)
        going = await self._credit.take(wants)
        if len(going) < len(wants):
            async with self._db.hot(tenants - going) as connection:
                await self._campaigns.put_back(connection, [c.key for c in chunks if c.key.tenant not in going])
            chunks = [chunk for chunk in chunks if chunk.key.tenant in going]
            if not chunks:
                return
        now = self._clock()
        await self._vault.ready_for(tenants, [Kind.NUMBER, Kind.TEXT], now)
        async with self._db.hot({*tenants, SYSTEM_TENANT}) as connection:
            rules = await self._content.rules(connection, tenants)
            slices = [await self._load(connection, chunk, runs[chunk.key.of_run], rules) for chunk in chunks]
            caps = await self._caps.rules(connection, tenants)
        slices = [await self._within_windows(each, now) for each in slices]
        decided = [await self._decide(each) for each in slices]
        await self._look_back(slices, decided, now)
        refused = await self._claim(slices, decided, caps, now)
        for each, of_slice in zip(slices, decided, strict=True):
            await self._with_coupons(each, of_slice, refused, now)
        records: list[Outgoing] = []
        reasons: list[str] = []
        held: list[Held] = []
        outcomes: dict[ChunkKey, Outcome] = {}
        for each, of_slice in zip(slices, decided, strict=True):
            outcomes[each.chunk.key] = await self._expand(
                each, of_slice, caps, refused, records, reasons, held, now
            )  # fmt: skip
        await self._decided.publish(records, reasons)
        async with self._db.hot(tenants) as connection:
            await self._content.keep(connection, held, now)
            await self._campaigns.finish(connection, outcomes, self._clock())
        self._pump.wake()

    async def _load(self, connection: object, chunk: Chunk, run: Run, rules: dict[str, ContentRules]) -> Slice:
        tenant = chunk.key.tenant
        texts: dict[str | None, tuple[str, int]] = {v.id: (v.template, v.template_version) for v in run.variants}
        texts = texts or {None: (run.template, run.template_version)}
        templates = {name: await self._templates.version(connection, tenant, *text) for name, text in texts.items()}
        members = await load_members(connection, tenant, chunk.refs)
        voices = NO_VOICES
        if run.purpose == MARKETING:
            voices = await load_voices(connection, [tenant], [m.contact_id for m in members])
        passes = await self._content.passes(connection, tenant, run.key.campaign, run.key.run)
        given: dict[str, Any] = {}
        feeds = sorted({feed for t in templates.values() for feed in t.names_within("feed")})
        if feeds:
            given["feed"] = await self._feeds.current(connection, tenant, feeds)
        pools = sorted({pool for t in templates.values() for pool in t.names_within("coupon")})
        if pools:
            given["coupon"] = await self._coupons.examples(connection, tenant, pools)
        return Slice(chunk, run, templates, members, voices, rules[tenant], frozenset(passes), given)

    async def _within_windows(self, each: Slice, now: int) -> Slice:
        """The chunk without those whose send window is closed: they are expanded when it opens, with the consent and attributes
        of then. People who share a number stay together: open for one of them is open for all."""
        run = each.run
        places = {(m.country, m.time_zone) for m in each.members}
        closed = await self._windows.closed(run.key.tenant, run.purpose, places, now)
        if not closed:
            return each
        opens: dict[str, int] = {}
        for m in each.members:
            at = closed.get((m.country, m.time_zone), now)
            opens[m.contact_id] = min(at, opens.get(m.contact_id, at))
        postponed: dict[int, list[str]] = {}
        for m in each.members:
            if opens[m.contact_id] > now:
                postponed.setdefault(opens[m.contact_id], []).append(m.ref)
        members = [m for m in each.members if opens[m.contact_id] <= now]
        return each._replace(members=members, postponed=postponed)

    async def _with_coupons(self, each: Slice, of_slice: list[Fate], refused: set[str], now: int) -> None:
        """Gives each message that will go out its own code, and renders it with that."""
        tenant, wants = each.run.key.tenant, dict[str, list[str]]()
        pools_of = {name: sorted(t.names_within("coupon")) for name, t in each.templates.items()}
        for fate in of_slice:
            if isinstance(fate.decision, Ready) and fate.message_id not in refused:
                for pool in pools_of.get(fate.variant, ()):
                    wants.setdefault(pool, []).append(fate.message_id)
        if not wants:
            return
        async with self._db.hot(tenant) as connection:
            codes = {
                pool: await self._coupons.claim(connection, tenant, pool, ids, now)
                for pool, ids in sorted(wants.items())
            }
        unused: list[Want] = []
        for place, fate in enumerate(of_slice):
            pools = pools_of.get(fate.variant, ())
            if not pools or not isinstance(fate.decision, Ready) or fate.message_id in refused:
                continue
            empty = [pool for pool in pools if fate.message_id not in codes[pool]]
            if empty:
                decision: Decision = Drop("render_failed", f"the coupon pool {empty[0]} has no code left")
            else:
                own = {"coupon": {pool: codes[pool][fate.message_id] for pool in pools}}
                template = each.templates[fate.variant]
                decision = written_to(
                    fate.member, template, each.run.purpose, each.content, each.let_through, {**each.given, **own}
                )
                if isinstance(decision, Ready) and fate.decision.held_by is not None and decision.held_by is None:
                    decision = msgspec.structs.replace(
                        decision, held_by=fate.decision.held_by, features=fate.decision.features
                    )
            of_slice[place] = fate._replace(decision=decision)
            if isinstance(decision, Drop):
                unused.append(Want(tenant, fate.member.contact_id, each.run.purpose, fate.message_id, now))
        if unused:
            async with self._db.hot(tenant) as connection:
                await self._caps.give_back(connection, unused)

    async def _look_back(self, slices: Sequence[Slice], decided: Sequence[list[Fate]], now: int) -> None:
        """Holds or blocks what is one too many of a text or for a prefix."""
        sent = [
            Sent(each.run.key.tenant, fate.member.contact_id, fate.member.country, fate.member.prefix, each.run.purpose,
                 fate.message_id, self._fingerprints.of(each.run.key.tenant, fate.decision.text))
            for each, of_slice in zip(slices, decided, strict=True)
            for fate in of_slice if isinstance(fate.decision, Ready)
        ]  # fmt: skip
        rules = {each.run.key.tenant: each.content for each in slices}
        found = await self._content.look_back(sent, rules, now)
        if not found:
            return
        for each, of_slice in zip(slices, decided, strict=True):
            for place, fate in enumerate(of_slice):
                if fate.message_id in found:
                    decision = checked(fate.decision, found[fate.message_id], each.let_through)
                    of_slice[place] = fate._replace(decision=decision)

    async def _decide(self, each: Slice) -> list[Fate]:
        run, tenant = each.run, each.run.key.tenant
        decided: list[Fate] = []
        variants: dict[str, str | None] = {}
        if run.variants or run.holdout:
            variant_of = chooser(
                self._splitter, tenant, run.key.campaign, run.variants, run.holdout, each.chunk.split
            )  # fmt: skip
            variants = {member.ref: variant_of(member.ref) for member in each.members}

        def template_of(ref: str) -> Template | None:
            return each.templates.get(variants.get(ref))

        born_at = _born_at(each)
        for member, decision in decide_members(tenant, each.members, each.voices, template_of, run.purpose, each.content, each.let_through, each.given, run.sender):  # fmt: skip
            message_id = self._message_id(run.key, born_at, member.ref)
            decided.append(Fate(member, decision, message_id, variants.get(member.ref)))
            if len(decided) % SLICE == 0:
                await asyncio.sleep(0)
        return decided

    async def _claim(self, slices: Sequence[Slice], decided: Sequence[list[Fate]], caps: Caps, now: int) -> set[str]:
        """Places under the frequency caps for all who are written to, committed before anything is published; answers
        the message ids that got none."""
        wants = [
            Want(each.run.key.tenant, d.member.contact_id, each.run.purpose, d.message_id, now)
            for each, of_slice in zip(slices, decided, strict=True)
            if (each.run.key.tenant, each.run.purpose) in caps
            for d in of_slice if isinstance(d.decision, Ready) and d.decision.held_by is None
        ]  # fmt: skip
        if not wants:
            return set()
        async with self._db.hot({w.tenant for w in wants}) as connection:
            return await self._caps.claim(connection, wants, caps)

    async def _expand(
        self, each: Slice, decided: Sequence[Fate], caps: Caps, refused: set[str], records: list[Outgoing],
        reasons: list[str], held: list[Held], now: int,
    ) -> Outcome:  # fmt: skip
        """Adds the chunk's records; answers what came of its people."""
        run, tenant = each.run, each.run.key.tenant
        written = " ".join(template.rule for template in each.templates.values())
        rules = f"{consent.RULES} {numbers.RULES} {written} {each.content.name}"
        before = len(held)
        born_at = _born_at(each)
        cap = caps.get((tenant, run.purpose))
        if cap is not None:
            rules = f"{rules} {cap.rule}"
        keys = Keys(self._vault.sealer(tenant, Kind.NUMBER, now), self._vault.sealer(tenant, Kind.TEXT, now))
        dropped: Counter[str] = Counter()
        erased = len(each.chunk.refs) - len(each.members) - sum(map(len, each.postponed.values()))
        if erased:
            dropped[ERASED] = erased
        for done, (member, decision, message_id, variant) in enumerate(decided, 1):
            if cap is not None and message_id in refused:
                decision = Drop("frequency_cap", refused_by(cap))
            if isinstance(decision, Drop):
                dropped[decision.reason] += 1
                reasons.append(decision.reason)
                records.append(self._drop(run, member, decision, message_id, variant, rules, born_at, now))
            else:
                event, number, text = self._prepare(run, member, decision, message_id, variant, rules, born_at, now)
                if decision.held_by is not None:
                    kept, told = self._decided.held(event, number, text, decision.held_by)
                    held.append(kept)
                    records.append(told)
                else:
                    event.number, event.text = keys.number.seal(number), keys.text.seal(text)
                    records.append(self._decided.prepared(event))
            if done % SLICE == 0:
                await asyncio.sleep(0)
        waiting = len(held) - before
        return Outcome(
            len(each.members) - (dropped.total() - erased) - waiting, dropped, waiting, each.postponed, born_at
        )

    def _message_id(self, key: RunKey, born_at: int, ref: str) -> str:
        return self._ids.derive(key.tenant, born_at // 1000, "campaign", key.campaign, key.run, ref)

    def _prepare(
        self, run: Run, member: Member, ready: Ready, message_id: str, variant: str | None, rules: str, born_at: int,
        now: int,
    ) -> tuple[MessagePrepared, str, str]:  # fmt: skip
        """The message, its number and its text, which are not sealed yet."""
        tenant = run.key.tenant
        number = self._at_rest.open(tenant, member.contact_id, member.number)
        return (
            MessagePrepared(
                event_id=f"{message_id}:prepared", tenant_id=tenant, occurred_at=now, message_id=message_id,
                contact_id=member.contact_id, number_hash=member.number_hash, purpose=run.purpose,
                number=b"", text=b"", encoding=ready.encoding, parts=ready.parts,
                country=member.country, prefix=member.prefix, sender=run.sender, time_zone=member.time_zone,
                campaign_id=run.key.campaign, not_after=now + run.validity_s * 1000, accepted_at=born_at,
                contact_ref=member.ref, run=run.key.run, variant=variant, segment=run.segment, locale=ready.locale,
                fingerprint=self._fingerprints.of(tenant, ready.text), features=ready.features, rules=rules,
            ),
            number,
            self._decided.own_text(ready.text, message_id, member.contact_id),
        )  # fmt: skip

    def _drop(
        self,
        run: Run,
        member: Member,
        drop: Drop,
        message_id: str,
        variant: str | None,
        rules: str,
        born_at: int,
        now: int,
    ) -> Outgoing:
        return self._decided.dropped(
            MessageDropped(
                event_id=f"{message_id}:dropped", tenant_id=run.key.tenant, occurred_at=now, message_id=message_id,
                stage=STAGE, reason=drop.reason, detail=drop.detail, rules=rules, contact_id=member.contact_id,
                contact_ref=member.ref, purpose=run.purpose, country=member.country, campaign_id=run.key.campaign,
                run=run.key.run, variant=variant, segment=run.segment, accepted_at=born_at,
            )
        )  # fmt: skip


def _born_at(each: Slice) -> int:
    """When a chunk's messages came to be: at launch, or when the chunk fell due. The same in every repeat."""
    if each.chunk.born_at is not None:
        return each.chunk.born_at
    return max(each.run.born_at, each.chunk.due_at)

"""API messages: from accepted to prepared or dropped, a batch at a time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from shared.clock import Clock
from shared.contracts.events import MessageAccepted, MessageDropped, MessagePrepared
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.sealing import CannotOpenError, Kind
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.errors import PoisonError
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing

from segmenter.adapters.cap_store import Caps, CapStore, Want
from segmenter.adapters.catalog import Templates
from segmenter.adapters.credit import Credit
from segmenter.adapters.held_store import Held
from segmenter.adapters.later_store import LaterStore
from segmenter.adapters.people import Known, Voices, load_known, load_voices
from segmenter.domain import consent, numbers
from segmenter.domain.check_content import ContentRules
from segmenter.domain.consent import MARKETING, purpose_of, refusal, strongest
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.frequency_caps import refused_by
from segmenter.domain.numbers import NumberFacts, judge
from segmenter.domain.opened import Opened
from segmenter.domain.prepare import Content, Drop, Ready, checked, text_of
from segmenter.domain.send_later import FULL_MS, waits_here
from segmenter.domain.templates import Template
from segmenter.handlers.content_checks import ContentChecks, Sent
from segmenter.handlers.records import STAGE, Decided

SLICE = 100  # messages between two chances for other tasks: a one-time code waits 10 ms at most
_CONTENT = msgspec.json.Decoder(Content)
RULES = f"{consent.RULES} {numbers.RULES}"


class Context(NamedTuple):
    """All that a batch's decisions go by."""

    known: dict[str, list[Known]]
    voices: Voices
    templates: dict[tuple[str, str], Template]
    caps: Caps
    content: dict[str, ContentRules]


class Judged(NamedTuple):
    """A message with its decision and the rules that made it."""

    message: Opened
    person: Known | None
    facts: NumberFacts
    decision: Ready | Drop
    rules: str


class PrepareAccepted:
    """Handles `sms.message.accepted` of one lane. `credit`: asked before anything is released; None for the lane that
    never waits."""

    def __init__(
        self, db: Database, vault: Vault, decided: Decided, templates: Templates, later: LaterStore, fingerprints: Fingerprints,
        clock: Clock, credit: Credit | None, caps: CapStore, content: ContentChecks,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._decided, self._templates = db, vault, decided, templates
        self._later, self._fingerprints, self._clock, self._credit = later, fingerprints, clock, credit
        self._caps, self._content = caps, content

    async def handle(self, batch: Sequence[Received]) -> None:
        events: list[MessageAccepted] = [record.event for record in batch]
        now = self._clock()
        going = None if self._credit is None else await self._credit.take(Counter(e.tenant_id for e in events))
        await self._vault.load([e.number for e in events] + [e.content for e in events])
        opened = [self._open(event) for event in events]
        later = [message for message in opened if waits_here(message.event.send_at, now)]
        if later:
            opened = [message for message in opened if not waits_here(message.event.send_at, now)]
        # Who has no room now waits here, so that other tenants' messages behind theirs do not.
        full = [message for message in opened if going is not None and message.event.tenant_id not in going]
        if full:
            opened = [message for message in opened if going is not None and message.event.tenant_id in going]
        if opened:
            await self.prepare(opened, now)
        if later:
            async with self._db.hot({m.event.tenant_id for m in later}) as connection:
                await self._later.keep(connection, later)
        if full:
            async with self._db.hot({m.event.tenant_id for m in full}) as connection:
                await self._later.keep(connection, full, until=now + FULL_MS)

    async def prepare(self, opened: Sequence[Opened], now: int) -> None:
        """Decides for these messages and publishes what was decided."""
        await self._vault.ready_for({m.event.tenant_id for m in opened}, [Kind.TEXT], now)
        context = await self._load(opened)
        judged: list[Judged] = []
        for start in range(0, len(opened), SLICE):
            judged += [self._judged(message, context, now) for message in opened[start : start + SLICE]]
            await asyncio.sleep(0)
        judged = await self._looked_back(judged, context.content, now)
        judged = await self._within_caps(judged, context.caps, now)
        records: list[Outgoing] = []
        reasons: list[str] = []
        held: list[Held] = []
        for start in range(0, len(judged), SLICE):
            records += [self._record(one, now, reasons, held) for one in judged[start : start + SLICE]]
            await asyncio.sleep(0)
        await self._decided.publish(records, reasons)
        if held:
            async with self._db.hot({h.event.tenant_id for h in held}) as connection:
                await self._content.keep(connection, held, now)

    def _open(self, event: MessageAccepted) -> Opened:
        try:
            number = self._vault.open(event.tenant_id, Kind.NUMBER, event.number)
            content = _CONTENT.decode(self._vault.open(event.tenant_id, Kind.TEXT, event.content))
        except CannotOpenError as error:
            raise PoisonError(str(error)) from error
        except msgspec.MsgspecError as error:
            raise PoisonError("the content is not a text or a template with variables") from error
        return Opened(event, number, content)

    async def _load(self, opened: Sequence[Opened]) -> Context:
        tenants = {m.event.tenant_id for m in opened}
        marketing = list({m.event.contact_id for m in opened if m.event.purpose == MARKETING})
        async with self._db.hot({*tenants, SYSTEM_TENANT}) as connection:
            known = await load_known(connection, list({m.event.contact_id for m in opened}))
            voices = await load_voices(connection, tenants, marketing)
            wanted = {(m.event.tenant_id, m.content.template) for m in opened if m.content.template is not None}
            templates = await self._templates.current(connection, wanted) if wanted else {}
            caps = await self._caps.rules(connection, tenants)
            content = await self._content.rules(connection, tenants)
        return Context(known, voices, templates, caps, content)

    async def _looked_back(self, judged: list[Judged], rules: dict[str, ContentRules], now: int) -> list[Judged]:
        """The same, with those held or blocked that are one too many of a text or for a prefix."""
        sent = [
            Sent(event.tenant_id, event.contact_id, one.facts.country, one.facts.prefix, event.purpose, event.message_id,
                 self._fingerprints.of(event.tenant_id, one.decision.text))
            for one in judged if isinstance(one.decision, Ready) for event in (one.message.event,)
        ]  # fmt: skip
        found = await self._content.look_back(sent, rules, now)
        for place, one in enumerate(judged):
            finding = found.get(one.message.event.message_id)
            if finding is not None:
                judged[place] = one._replace(decision=checked(one.decision, finding))
        return judged

    async def _within_caps(self, judged: list[Judged], caps: Caps, now: int) -> list[Judged]:
        """The same, with those dropped that the tenant's frequency caps have no place for. Places are taken and
        committed before anything is published."""
        wants = [
            Want(e.tenant_id, e.contact_id, e.purpose, e.message_id, max(now, e.send_at or 0))
            for e in (j.message.event for j in judged if isinstance(j.decision, Ready) and j.decision.held_by is None)
            if (e.tenant_id, e.purpose) in caps
        ]
        if not wants:
            return judged
        async with self._db.hot({w.tenant for w in wants}) as connection:
            refused = await self._caps.claim(connection, wants, caps)
        for place, one in enumerate(judged):
            event = one.message.event
            cap = caps.get((event.tenant_id, event.purpose))
            if cap is not None:
                held = event.message_id in refused
                decision = Drop("frequency_cap", refused_by(cap)) if held else one.decision
                judged[place] = one._replace(decision=decision, rules=f"{one.rules} {cap.rule}")
        return judged

    def _judged(self, message: Opened, context: Context, now: int) -> Judged:
        event = message.event
        person = _meant(event, context.known.get(event.contact_id, ()), context.voices)
        facts = judge(message.number)
        decision, rule = self._decide(message, person, facts, context, now)
        content = context.content[event.tenant_id]
        if isinstance(decision, Ready):
            decision = checked(decision, content.judge(decision.text, facts.country, event.purpose))
        rules = f"{RULES} {rule} {content.name}" if rule else f"{RULES} {content.name}"
        return Judged(message, person, facts, decision, rules)

    def _record(self, judged: Judged, now: int, reasons: list[str], held: list[Held]) -> Outgoing:
        message, person, facts, decision, rules = judged
        event = message.event
        if isinstance(decision, Drop):
            reasons.append(decision.reason)
            return self._decided.dropped(
                MessageDropped(
                    event_id=f"{event.message_id}:dropped", tenant_id=event.tenant_id, occurred_at=now,
                    message_id=event.message_id, stage=STAGE, reason=decision.reason, detail=decision.detail, rules=rules,
                    contact_id=event.contact_id, contact_ref=person.ref if person else None, purpose=event.purpose,
                    country=facts.country, client_ref=event.client_ref, callback_url=event.callback_url, accepted_at=event.occurred_at,
                )
            )  # fmt: skip
        text = self._decided.own_text(decision.text, event.message_id, event.contact_id)
        ready = MessagePrepared(
                event_id=f"{event.message_id}:prepared", tenant_id=event.tenant_id, occurred_at=now,
                message_id=event.message_id, contact_id=event.contact_id, number_hash=event.number_hash, purpose=event.purpose,
                number=event.number, text=b"", encoding=decision.encoding, parts=decision.parts,
                country=facts.country, prefix=facts.prefix, sender=event.sender,
                time_zone=(person.time_zone if person else None) or facts.time_zone, not_before=event.send_at,
                not_after=not_after(event), accepted_at=event.occurred_at, contact_ref=person.ref if person else None,
                locale=decision.locale, client_ref=event.client_ref, callback_url=event.callback_url,
                fingerprint=self._fingerprints.of(event.tenant_id, decision.text), features=decision.features, rules=rules,
        )  # fmt: skip
        if decision.held_by is not None:
            kept, told = self._decided.held(ready, message.number, text, decision.held_by)
            held.append(kept)
            return told
        ready.text = self._vault.sealer(event.tenant_id, Kind.TEXT, now).seal(text)
        return self._decided.prepared(ready)

    def _decide(
        self, message: Opened, person: Known | None, facts: NumberFacts, context: Context, now: int
    ) -> tuple[Ready | Drop, str]:
        event = message.event
        if not_after(event) <= now:
            return Drop("window_missed", "its validity ended before it could be prepared"), ""
        if facts.problem is not None:
            return Drop("invalid_number", facts.problem), ""
        if facts.number != message.number:  # its hashes, by which opt-outs are found, are not the handset's
            return Drop("invalid_number", "written with a trunk prefix: not E.164"), ""
        if event.purpose == MARKETING:
            voices = context.voices
            sharing = voices.sharing(event.contact_id)
            asked = purpose_of(event.purpose, event.sender, voices.brands.get(event.tenant_id, {}))
            refused = refusal(asked, strongest(sharing, asked), sharing, event.contact_id in voices.suppressed)
            if refused is not None:
                return Drop(refused), ""
        locale = person.locale if person else None
        tenant = event.tenant_id
        endings = context.content[tenant].endings
        return text_of(
            message.content, event.purpose, locale, lambda name: context.templates.get((tenant, name)),
            partial(endings.completed, facts.country, event.purpose),
        )  # fmt: skip


def not_after(event: MessageAccepted) -> int:
    """The end of a message's validity, which starts when it may go out. Milliseconds UTC."""
    return max(event.occurred_at, event.send_at or 0) + event.validity_s * 1000


def _meant(event: MessageAccepted, people: Sequence[Known], voices: Voices) -> Known | None:
    """Of the contacts who share the number the one who granted marketing, else the first by ref."""
    if event.purpose == MARKETING and len(people) > 1:
        for person in people:
            stance = voices.by_ref.get((event.tenant_id, person.ref), {}).get(MARKETING)
            if stance is not None and stance.state == "granted":
                return person
    return people[0] if people else None

"""Held messages about which a person decided, or whose time is over: they go on with the consent of now, or are dropped.

Load, decide, publish, then save. A crash in between repeats the same records; a message that goes on passes consent and
frequency caps again, as if it were prepared now.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from shared.clock import Clock
from shared.contracts.events import MessageDropped
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing
from shared.telemetry.logs import logger

from segmenter.adapters.campaign_store import CampaignStore, RunKey
from segmenter.adapters.cap_store import CapStore, Want
from segmenter.adapters.credit import Credit
from segmenter.adapters.held_store import Due, HeldStore
from segmenter.adapters.people import Voices, load_voices
from segmenter.domain import consent
from segmenter.domain.consent import MARKETING, NONE, purpose_of, refusal, strongest
from segmenter.domain.frequency_caps import refused_by
from segmenter.domain.prepare import Drop
from segmenter.handlers.records import STAGE, Decided

PERIOD_S = 1.0
AT_ONCE = 500


class SettleHeld:
    """Replicas share the work by row locks."""

    def __init__(
        self, db: Database, vault: Vault, held: HeldStore, decided: Decided, campaigns: CampaignStore, caps: CapStore,
        credit: Credit, clock: Clock,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._held, self._decided = db, vault, held, decided
        self._campaigns, self._caps, self._credit, self._clock = campaigns, caps, credit, clock
        self._log = logger(part="settle held")

    async def run(self) -> None:
        while True:
            try:
                while await self.once() == AT_ONCE:
                    pass
            except RetryLaterError as error:
                self._log.warning("held messages wait", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def once(self) -> int:
        """Answers how many were settled."""
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            due = await self._held.due(connection, now, AT_ONCE)
            if not due:
                return 0
            tenants = {d.held.event.tenant_id for d in due}
            marketing = [d.held.event.contact_id for d in due if d.held.event.purpose == MARKETING]
            voices = await load_voices(connection, tenants, marketing)
            drops = [drop_of(one, voices, now) for one in due]
            wants = Counter(d.held.event.tenant_id for d, drop in zip(due, drops, strict=True) if drop is None)
            if wants:
                going = await self._credit.take(wants)
                settled = [
                    (d, drop)
                    for d, drop in zip(due, drops, strict=True)
                    if drop is not None or d.held.event.tenant_id in going
                ]
                due, drops = [d for d, _ in settled], [drop for _, drop in settled]
                if not due:
                    return 0
            drops = await self._within_caps(due, drops, now)
            await self._vault.ready_for(tenants, [Kind.NUMBER, Kind.TEXT], now)
            records = [self._record(one, drop, now) for one, drop in zip(due, drops, strict=True)]
            await self._decided.publish(records, [drop.reason for drop in drops if drop is not None])
            await self._held.forget(connection, [d.held for d in due])
            await self._count(connection, due, drops)
        return len(due)

    async def _within_caps(self, due: Sequence[Due], drops: list[Drop | None], now: int) -> list[Drop | None]:
        going = [d.held.event for d, drop in zip(due, drops, strict=True) if drop is None]
        async with self._db.hot(EVERYONE) as connection:
            caps = await self._caps.rules(connection, {e.tenant_id for e in going})
            wants = [Want(e.tenant_id, e.contact_id, e.purpose, e.message_id, now) for e in going]
            refused = await self._caps.claim(connection, wants, caps)
        for place, one in enumerate(due):
            event = one.held.event
            if event.message_id in refused and drops[place] is None:
                drops[place] = Drop("frequency_cap", refused_by(caps[event.tenant_id, event.purpose]))
        return drops

    def _record(self, one: Due, drop: Drop | None, now: int) -> Outgoing:
        event, rules = one.held.event, f"{one.held.event.rules} {consent.RULES}"
        if drop is not None:
            return self._decided.dropped(
                MessageDropped(
                    event_id=f"{event.message_id}:dropped", tenant_id=event.tenant_id, occurred_at=now, message_id=event.message_id,
                    stage=STAGE, reason=drop.reason, detail=drop.detail, rules=rules, contact_id=event.contact_id,
                    contact_ref=event.contact_ref, purpose=event.purpose, country=event.country, campaign_id=event.campaign_id,
                    run=event.run, variant=event.variant, segment=event.segment, client_ref=event.client_ref,
                    callback_url=event.callback_url, accepted_at=event.accepted_at,
                )
            )  # fmt: skip
        tenant = event.tenant_id
        released = msgspec.structs.replace(
            event, event_id=f"{event.message_id}:released", occurred_at=now,
            number=self._vault.sealer(tenant, Kind.NUMBER, now).seal(one.held.number),
            text=self._vault.sealer(tenant, Kind.TEXT, now).seal(one.held.text), rules=f"{rules} released:{one.held.rule}",
        )  # fmt: skip
        return self._decided.prepared(released)

    async def _count(self, connection: Any, due: Sequence[Due], drops: Sequence[Drop | None]) -> None:
        prepared: Counter[RunKey] = Counter()
        dropped: defaultdict[RunKey, Counter[str]] = defaultdict(Counter)
        for one, drop in zip(due, drops, strict=True):
            event = one.held.event
            if event.campaign_id is None or event.run is None:
                continue
            key = RunKey(event.tenant_id, event.campaign_id, event.run)
            if drop is None:
                prepared[key] += 1
            else:
                dropped[key][drop.reason] += 1
        for key in sorted({*prepared, *dropped}):
            await self._campaigns.settled(connection, key, prepared[key], dropped[key])


def drop_of(one: Due, voices: Voices, now: int) -> Drop | None:
    """Why this message goes no further; None when it goes on."""
    event = one.held.event
    if one.decision == "cancel":
        return Drop("cancelled", f"its campaign was cancelled while it was held by content rule {one.held.rule}")
    if one.decision == "block":
        return Drop("blocked", f"held by content rule {one.held.rule}, and blocked by a person")
    if event.not_after <= now:
        return Drop("window_missed", f"held by content rule {one.held.rule} until its validity ended")
    if event.purpose != MARKETING:
        return None
    sharing = voices.sharing(event.contact_id)
    asked = purpose_of(event.purpose, event.sender, voices.brands.get(event.tenant_id, {}))
    own = (
        strongest(sharing, asked)
        if event.campaign_id is None
        else voices.by_ref.get((event.tenant_id, event.contact_ref or ""), NONE)
    )
    refused = refusal(asked, own, sharing, event.contact_id in voices.suppressed)
    return Drop(refused) if refused is not None else None

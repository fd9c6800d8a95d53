"""Content rules on the road: those in force, what they find in what was sent before, and what is kept for a person."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.db.database import Database

from segmenter.adapters.content_rule_store import ContentRuleStore
from segmenter.adapters.held_store import Held, HeldStore
from segmenter.adapters.traffic_store import Copy, Flow, TrafficStore
from segmenter.domain.check_content import ContentRules, Finding, worse
from segmenter.domain.content_rules import Rule


class Sent(NamedTuple):
    """A message that would go out now, as repeats and velocities see it."""

    tenant: str
    contact_id: str
    country: str
    prefix: str
    purpose: str
    message_id: str
    fingerprint: str


class ContentChecks:
    def __init__(self, db: Database, stored: ContentRuleStore, traffic: TrafficStore, held: HeldStore) -> None:
        self._db, self._stored, self._traffic, self._held = db, stored, traffic, held

    async def rules(self, connection: Any, tenants: Iterable[str]) -> dict[str, ContentRules]:
        """By tenant. The transaction must see the operator's rows too."""
        return await self._stored.current(connection, tenants)

    async def passes(self, connection: Any, tenant: str, campaign: str, run: str) -> set[str]:
        return await self._held.passes(connection, tenant, campaign, run)

    async def keep(self, connection: Any, held: Sequence[Held], now: int) -> None:
        if held:
            await self._held.keep(connection, held, now)

    async def look_back(
        self, messages: Sequence[Sent], rules: Mapping[str, ContentRules], now: int
    ) -> dict[str, Finding]:
        """What earlier traffic tells of these messages, by id; those that are nobody's trouble are left out. Counts them,
        and commits that before anything is published."""
        copies: list[Copy] = []
        flows: list[Flow] = []
        for sent in messages:
            asked = rules[sent.tenant].of(sent.country, sent.purpose)
            copies += [
                Copy(sent.tenant, sent.contact_id, sent.fingerprint, sent.message_id, now, r) for r in asked.repeats
            ]
            flows += [
                Flow(sent.tenant, sent.prefix if r.of == "prefix" else "", sent.message_id, r) for r in asked.velocities
            ]
        found: dict[str, Finding] = {}
        if not copies and not flows:
            return found
        async with self._db.hot({sent.tenant for sent in messages}) as connection:
            over = await self._traffic.copies(connection, copies) if copies else set()
            _add(found, [(c.message_id, c.rule) for c in copies if c.message_id in over])
            over = await self._traffic.flow(connection, flows, now) if flows else set()
            _add(found, [(f.message_id, f.rule) for f in flows if f.message_id in over])
        return found


def _add(found: dict[str, Finding], over: Iterable[tuple[str, Rule]]) -> None:
    for message_id, rule in over:
        finding = Finding(rule.verdict, rule.id, rule.id)
        found[message_id] = worse(found[message_id], finding) if message_id in found else finding

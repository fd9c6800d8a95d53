"""The id rule of one carrier while it runs: learnt from its traffic, stored as a proposal, and followed once applied."""

import asyncio
from collections.abc import Callable
from typing import Any

from shared.carriers.learn_id_rule import IdRuleLearner
from shared.carriers.profile import CarrierProfile
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from smpp_connector.adapters.id_rules import IdRules, StoredRule
from smpp_connector.domain.pair_ids import PairIds

LOOK_EVERY_S = 2.0


class IdRuleKeeper:
    """`mode`: the carriers file's `id_rule`. `changed(profile)` is called with the profile to go by from now on, whenever a rule comes into force or leaves it."""

    def __init__(
        self,
        rules: IdRules,
        carrier: str,
        mode: str,
        profile: CarrierProfile,
        changed: Callable[[CarrierProfile], None],
    ) -> None:
        self._rules, self._mode, self._profile, self._changed = rules, mode, profile, changed
        self._learner = IdRuleLearner()
        self.pairs = PairIds(self._learner) if mode != "profile" else None
        """Wants to hear of messages and receipts; None when nothing is learnt."""
        self._stored: StoredRule | None = None
        self._log = logger(carrier=carrier, part="id_rule")

    def shown(self) -> dict[str, Any]:
        """For a person: the mode, how far the learning is, the proposal and what is in force. No id, no number."""
        stored = self._stored
        return {
            "mode": self._mode,
            "in_force": stored.rule if stored is not None and stored.in_force else f"profile {self._profile.name}",
            "proposal": None
            if stored is None
            else {
                "rule": stored.rule, "matched": stored.matched, "observed": stored.observed,
                "proposed_at": stored.proposed_at.isoformat(),
                "applied_at": stored.applied_at.isoformat() if stored.applied_at else None,
            },
            "observed": self._learner.observed,
            "matched": self._learner.matched() if self.pairs is not None else {},
        }  # fmt: skip

    async def open(self) -> None:
        """Before the first message: a rule in force counts from the start."""
        await self._follow()

    async def run(self) -> None:
        """Until cancelled: proposes what was learnt, and follows what is applied here or elsewhere."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._propose()
                await self._follow()
            except RetryLaterError as error:
                self._log.warning("id rule waits", error=str(error))

    async def _propose(self) -> None:
        proposal = self._learner.propose()
        stored = self._stored
        if proposal is None or (stored is not None and stored.applied_at is not None):
            return
        rule = proposal.rule.name
        if stored is None or stored.rule != rule:
            await self._rules.propose(proposal)
            self._log.info("id rule proposed", rule=rule, matched=proposal.matched, observed=proposal.observed)
        if self._mode == "learn":
            await self._rules.apply(rule)

    async def _follow(self) -> None:
        before = self._stored.in_force if self._stored is not None else None
        known, self._stored = self._stored, await self._rules.find()
        if known is not None and self._stored is None:
            self._learner.forget()  # a person dropped it: what it rests on counts no more
        rule = self._stored.in_force if self._stored is not None else None
        if rule == before:
            return
        self._log.info("id rule changes", rule=rule.name if rule is not None else "the profile's")
        self._changed(self._profile if rule is None else rule.applied_to(self._profile))

"""What one replica knows: prices, health, consent, campaigns. Kept fresh by followers, asked once a batch."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from shared.contracts.topics import Lane
from shared.errors import RetryLaterError
from shared.kafka.follower import Follower

from router.adapters.carriers_store import CarriersStore, work_out
from router.adapters.rules_store import RulesStore
from router.domain.campaigns import Campaigns
from router.domain.choose_carrier import CarrierChoice
from router.domain.decide import Decider
from router.domain.health import HealthPicture
from router.domain.opt_outs import OptOuts

CONSENT_MAY_BE_OLD_S = 2.0  # promise 4
HOLD_S = 0.3
WARM_S = 1.0
WARM_SHARE = 4  # of what may be remembered: the rest is for what traffic asks
CHOICE_LASTS_MS = 100  # a carrier that goes down is avoided so much later: far within two seconds


class Picture:
    """`follow` must have been called before anything is decided."""

    def __init__(self, carriers: CarriersStore, rules: RulesStore, comeback_ms: int) -> None:
        self.carriers, self.rules = carriers, rules
        self.health = HealthPicture(comeback_ms)
        self._choice: CarrierChoice | None = None
        self._made_at = 0
        self._made_of = rules.rules
        self.opt_outs = OptOuts()
        self.campaigns = Campaigns()
        self.newly_out: list[str] = []  # contact ids whose waiting messages are to be looked at
        self.changed_campaigns: list[tuple[str, str]] = []
        self.changed: Callable[[], None] = lambda: None

    def follow(self, *, consent: Follower, campaigns: Follower, health: Follower) -> None:
        self._consent, self._campaigns, self._health = consent, campaigns, health

    def apply_consent(self, events: Iterable[Any]) -> None:
        found = self.opt_outs.apply(events)
        if found:
            self.newly_out += found
            self.changed()

    def apply_campaigns(self, events: Iterable[Any]) -> None:
        found = self.campaigns.apply(events)
        if found:
            self.changed_campaigns += found
            self.changed()

    def why_hold(self, lane: Lane, *, marketing: bool) -> str | None:
        """Why nothing may be decided now; None when it may."""
        if not self.carriers.tariff.terms:
            return "no carrier is described yet"  # an empty price list is a system not set up, and no reason to drop
        if not self._health.caught_up:
            return "carriers' health is not known yet"
        if not (marketing or lane is Lane.BULK):
            return None
        if not self._campaigns.caught_up:
            return "campaigns' states are not known yet"
        if self._consent.age_s() > CONSENT_MAY_BE_OLD_S:
            return "marketing waits: the picture of consents is not fresh"
        return None

    def hold(self, lane: Lane, *, marketing: bool) -> None:
        """RetryLaterError while nothing may be decided."""
        why = self.why_hold(lane, marketing=marketing)
        if why is not None:
            raise RetryLaterError(why, after_s=HOLD_S)

    def choice(self, now: int) -> CarrierChoice:
        """What was worked out for one batch serves the next ones for a moment, unless prices or rules have changed."""
        tariff, rules, known = self.carriers.tariff, self.rules.rules, self._choice
        fresh = known is not None and 0 <= now - self._made_at < CHOICE_LASTS_MS
        if known is None or not fresh or known.tariff is not tariff or self._made_of is not rules:
            refuses = rules.senders.refuses if rules.senders.bars_carriers else None
            known = self._choice = CarrierChoice(tariff, self.health, now, rules.routes, refuses)
            self._made_at, self._made_of = now, rules
        return known

    async def warm(self) -> None:
        """Works out offers for the number plan's networks after a start, so that fewer batches have to."""
        while True:
            tariff, plan = self.carriers.tariff, self.rules.plan
            if tariff.terms and not tariff.worked_out:
                keys = dict.fromkeys((tariff.significant(r.prefix), r.network or None) for r in plan.ranges)
                await work_out(tariff, list(keys)[: tariff.most_remembered // WARM_SHARE])
            await asyncio.sleep(WARM_S)

    def decider(self, now: int) -> Decider:
        rules, plan = self.rules.rules, self.rules.plan
        return Decider(now, self.choice(now), self.campaigns, self.opt_outs, plan, rules.windows, rules.senders)

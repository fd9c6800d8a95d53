"""What tenants' limits make of decisions to send: go, wait for its turn, or go no further."""

from collections.abc import Sequence
from dataclasses import replace

from router.adapters.limits_store import LimitsStore
from router.domain.budgets import Refused, Wait, Want
from router.domain.choose_carrier import Decision, Defer, Drop, Send
from router.domain.decide import KEPT_MS, Message, Waited, history_of
from router.domain.limits import Limits
from router.domain.money import text_of


class Limiting:
    """Costs nothing where no limit fits; else one transaction a batch."""

    def __init__(self, store: LimitsStore) -> None:
        self._store = store

    async def applied(
        self, batch: Sequence[tuple[Message, Waited | None]], decisions: Sequence[Decision], limits: Limits, now: int
    ) -> list[Decision]:
        """The decisions, with those to send that a limit holds changed, and margins told. Counted durably."""
        found = list(decisions)
        if not limits.version:
            return found
        places: list[int] = []
        wants: list[Want] = []
        for place, ((message, waited), decision) in enumerate(zip(batch, decisions, strict=True)):
            if not isinstance(decision, Send):
                continue
            charge = limits.charge(message.tenant_id, decision.price)
            if charge != decision.price:
                found[place] = replace(decision, decision=f"{decision.decision} charge={text_of(charge)}")
            if limits.fitting(message.tenant_id, message.campaign_id, message.purpose, message.country):
                places.append(place)
                wants.append(_want(message, waited, decision, charge, now))
        if not wants:
            return found
        for place, admission in zip(places, await self._store.admit(wants, limits, now), strict=True):
            if isinstance(admission, Wait):
                found[place] = Defer(admission.until, admission.reason)
            elif isinstance(admission, Refused):
                found[place] = Drop("budget_exceeded", f"{admission.detail} limits={limits.version}")
        return found


def _want(message: Message, waited: Waited | None, send: Send, charge: int, now: int) -> Want:
    since = waited.since if waited else now
    return Want(
        message.tenant_id, message.campaign_id, message.purpose, message.country, charge * message.parts,
        min(send.not_after or message.not_after, since + KEPT_MS), history_of(message).attempt > 1,
        waited is not None and waited.reason == "rate_limited",
    )  # fmt: skip

"""What the log's messages would have cost and delivered under other rules, with today's prices, health and quality."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from router.domain.choose_carrier import CarrierChoice, Send, draws_of
from router.domain.health import HealthPicture
from router.domain.money import text_of
from router.domain.quality import LEAST_ENDED
from router.domain.routes import Ask


@dataclass(slots=True)
class Totals:
    """Of one set of rules. `cost` in millionths; delivery is expected where enough is known of the carrier there."""

    sent: int = 0
    cost: int = 0
    known: int = 0
    delivered: float = 0.0
    carriers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        return {
            "sent": self.sent, "cost": text_of(self.cost), "carriers": dict(self.carriers.most_common()), "not_sent": dict(self.refused),
            "expected_delivery": round(self.delivered / self.known, 4) if self.known else None, "delivery_known_for": self.known,
        }  # fmt: skip


class WhatIf:
    """Adds up message by message what the present rules and the draft choose."""

    def __init__(self, present: CarrierChoice, draft: CarrierChoice, health: HealthPicture, now: int) -> None:
        self._sides = ((present, Totals()), (draft, Totals()))
        self._health, self._now = health, now
        self.messages = self.changed = 0

    def add(self, message: Any, ask_of: Callable[[Any], Ask]) -> None:
        """`message`: a MessagePrepared."""
        ask, draws = ask_of(message), draws_of(message.contact_id, message.message_id)
        chosen = []
        for choice, totals in self._sides:
            found = choice.choose(ask, draws=draws)
            if isinstance(found, Send):
                self._sent(totals, found, ask.country, message.parts)
                chosen.append(found.carrier)
            else:
                totals.refused[found.reason] += 1
                chosen.append("")
        self.messages += 1
        self.changed += chosen[0] != chosen[1]

    def _sent(self, totals: Totals, found: Send, country: str, parts: int) -> None:
        totals.sent += 1
        totals.cost += found.price * parts
        totals.carriers[found.carrier] += 1
        quality = self._health.measured.interval(found.carrier, country, self._now)
        if quality.ended >= LEAST_ENDED:
            totals.known += 1
            totals.delivered += (quality.low + quality.high) / 2

    def told(self) -> dict[str, Any]:
        present, draft = (totals for _, totals in self._sides)
        return {
            "messages": self.messages, "changed": self.changed, "now": present.told(), "draft": draft.told(),
            "cost_difference": ("-" if draft.cost < present.cost else "") + text_of(abs(draft.cost - present.cost)),
        }  # fmt: skip

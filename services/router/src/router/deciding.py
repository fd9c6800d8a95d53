"""A batch from messages to decisions: the rules, the networks of ported numbers, the tenants' limits."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from shared.contracts.topics import Lane

from router.domain.choose_carrier import Decision, Send
from router.domain.decide import Decider, Message, Waited
from router.limiting import Limiting
from router.picture import Picture
from router.portability import Portability

HOLD_S = 0.02  # a batch for which much is new to work out lets others in so often


class Deciding:
    def __init__(self, picture: Picture, portability: Portability, limiting: Limiting) -> None:
        self._picture, self._portability, self._limiting = picture, portability, limiting

    async def decide(
        self, batch: Sequence[tuple[Message, Waited | None]], lane: Lane, now: int
    ) -> tuple[Decider, list[Decision]]:
        """One decision a message, in order, and who made them."""
        decider = self._picture.decider(now)
        decisions = await self._decided(decider, batch)
        # A lookup may cost money, so only what would go now is looked up, and decided once more where it is elsewhere.
        going = [message for (message, _), found in zip(batch, decisions, strict=True) if isinstance(found, Send)]
        ported = await self._portability.networks(going, decider, lane)
        if ported:
            decider = replace(decider, ported=ported)
            for place, (message, waited) in enumerate(batch):
                found = decisions[place]
                if isinstance(found, Send) and ported.get(message.number_hash, found.network) != found.network:
                    decisions[place] = decider.decide(message, waited)
        return decider, await self._limiting.applied(batch, decisions, self._picture.rules.rules.limits, now)

    @staticmethod
    async def _decided(decider: Decider, batch: Sequence[tuple[Message, Waited | None]]) -> list[Decision]:
        found: list[Decision] = []
        started = time.monotonic()
        for message, waited in batch:
            if time.monotonic() - started > HOLD_S:
                await asyncio.sleep(0)
                started = time.monotonic()
            found.append(decider.decide(message, waited))
        return found

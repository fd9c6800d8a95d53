"""STOP and START from a handset: the number's word, applied to everyone who has the number."""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from segmenter.adapters.consent_store import ConsentStore, Entry, Number
from segmenter.domain.consent import MARKETING, ref_of_number


class OptOut(Struct, frozen=True, kw_only=True):
    """What a person texted to one of our senders. `at` in milliseconds UTC; `recipient` is our address."""

    event_id: str
    tenant_id: str
    contact_id: str
    number_hash: str
    keyword: Literal["stop", "start"]
    carrier: str
    recipient: str
    at: int

    def __repr__(self) -> str:
        return f"<OptOut {self.keyword} {self.event_id}>"


class OptOuts:
    """Runs within the caller's raw transaction (`Database.hot`) for one tenant."""

    def __init__(self, consents: ConsentStore) -> None:
        self._consents = consents

    async def apply(self, connection: Any, tenant: str, heard: Sequence[OptOut], now: int) -> None:
        """Idempotent by event_id: a repeat finds its lines in the ledger."""
        numbers = {o.contact_id: Number(o.contact_id, o.number_hash) for o in heard}
        people: dict[str, list[str]] = {contact_id: [] for contact_id in numbers}
        for speaker in await self._consents.lock_sharing(connection, tenant, list(numbers)):
            if speaker.contact_id is not None:
                people[speaker.contact_id].append(speaker.ref)
        nobody = {ref_of_number(n.contact_id): n for n in numbers.values() if not people[n.contact_id]}
        if nobody:
            await self._consents.lock(connection, tenant, nobody, now, nobody)
        state: dict[str, Literal["granted", "withdrawn"]] = {"stop": "withdrawn", "start": "granted"}
        entries = [
            Entry(
                f"{o.event_id}:{ref}", ref, MARKETING, state[o.keyword], f"keyword {o.keyword}",
                f"text to {o.recipient} over {o.carrier}, event {o.event_id}", o.at, "handset",
            )
            for o in heard for ref in people[o.contact_id] or [ref_of_number(o.contact_id)]
        ]  # fmt: skip
        if entries:
            await self._consents.record(connection, tenant, entries, now)

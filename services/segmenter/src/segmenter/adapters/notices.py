"""Messages that the segmenter itself owes a person: the answer to a STOP, the question of a double opt-in.

They are transactional: whoever said STOP gets the one confirmation that a country's rules ask for, and nothing more.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from shared.contracts.events import MessagePrepared
from shared.contracts.topics import lane_of, prepared
from shared.crypto.ids import MessageIds
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from shared.kafka.publisher import Outgoing, Publisher

from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.numbers import NumberFacts
from segmenter.domain.prepare import Drop, sized

PURPOSE: Final = "transactional"
VALIDITY_MS: Final = 3_600_000  # an answer that comes the next day puzzles


class Addressee(NamedTuple):
    contact_id: str
    number_hash: str
    facts: NumberFacts
    ref: str | None
    locale: str | None


class Notices:
    def __init__(self, vault: Vault, publisher: Publisher, ids: MessageIds, fingerprints: Fingerprints) -> None:
        self._vault, self._publisher, self._ids, self._fingerprints = vault, publisher, ids, fingerprints

    async def ready(self, tenants: Iterable[str], now: int) -> None:
        """To be awaited before `record`, outside of any transaction."""
        await self._vault.ready_for(tenants, [Kind.NUMBER, Kind.TEXT], now)

    async def opened(self, tenant: str, sealed: bytes) -> str:
        """A number that another service sealed. CannotOpenError."""
        await self._vault.load([sealed])
        return self._vault.open(tenant, Kind.NUMBER, sealed)

    def record(
        self,
        tenant: str,
        to: Addressee,
        text: str,
        sender: str | None,
        rules: str,
        born_at: int,
        now: int,
        *source: str,
    ) -> tuple[str, Outgoing] | Drop:
        """The message's id, derived from `source` so that a repeat is the same message, and its record for the outbox."""
        ready = sized(text, to.locale)
        if isinstance(ready, Drop):
            return ready
        message_id = self._ids.derive(tenant, born_at // 1000, *source)
        event = MessagePrepared(
            event_id=f"{message_id}:prepared", tenant_id=tenant, occurred_at=now, message_id=message_id, contact_id=to.contact_id,
            number_hash=to.number_hash, purpose=PURPOSE, number=self._vault.sealer(tenant, Kind.NUMBER, now).seal(to.facts.number),
            text=self._vault.sealer(tenant, Kind.TEXT, now).seal(ready.text), encoding=ready.encoding, parts=ready.parts,
            country=to.facts.country, prefix=to.facts.prefix, sender=sender, time_zone=to.facts.time_zone,
            not_after=now + VALIDITY_MS, accepted_at=born_at, contact_ref=to.ref, locale=to.locale,
            fingerprint=self._fingerprints.of(tenant, ready.text), rules=rules,
        )  # fmt: skip
        return message_id, self._publisher.record(prepared(lane_of(PURPOSE)).name, to.contact_id, event)

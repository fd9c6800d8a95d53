"""Contacts: stored, read, erased, each with its records for the topics in the same transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.contracts.events import ContactChanged, ContactErased
from shared.contracts.topics import CONTACT, ERASED
from shared.db.outbox import put
from shared.kafka.publisher import Outgoing, Publisher

from segmenter.adapters.consent_store import ConsentStore, Number, Speaker
from segmenter.domain.consent import MARKETING, Stance, ref_of_number
from segmenter.domain.numbers import NumberFacts


class NewContact(NamedTuple):
    """`sealed` is the number at rest, `attributes` JSON."""

    ref: str
    number: Number
    facts: NumberFacts
    sealed: bytes
    locale: str | None
    time_zone: str | None
    attributes: str


class ContactStore:
    """Methods run within the caller's raw transaction (`Database.hot`) for one tenant."""

    def __init__(self, publisher: Publisher, consents: ConsentStore) -> None:
        self._publisher, self._consents = publisher, consents

    async def store(self, connection: Any, tenant: str, contacts: Sequence[NewContact], now: int) -> int:
        """Replaces these contacts whole; of one ref twice the last holds. Answers how many were new or changed: what
        stands there already, word for word, is neither written nor told."""
        by_ref = {c.ref: c for c in contacts}
        speakers = await self._consents.lock(connection, tenant, by_ref, now, {c.ref: c.number for c in contacts})
        moved = [s for s in speakers.values() if s.contact_id != by_ref[s.ref].number.contact_id]
        if moved:
            await self._follow_numbers(connection, tenant, moved, by_ref, now)
        rows = sorted(by_ref.values(), key=lambda c: c.ref)
        changed = await connection.fetch(
            "INSERT INTO contacts AS c (tenant_id, ref, contact_id, number_hash, number, number_problem, country, prefix, number_zone, "
            "locale, time_zone, attributes, created_at, updated_at) "
            "SELECT $1, n.*, $13::bigint, $13::bigint FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], "
            "$8::text[], $9::text[], $10::text[], $11::text[], $12::jsonb[]) AS n "
            "ON CONFLICT (tenant_id, ref) DO UPDATE SET contact_id = excluded.contact_id, number_hash = excluded.number_hash, "
            "number = excluded.number, number_problem = excluded.number_problem, country = excluded.country, prefix = excluded.prefix, "
            "number_zone = excluded.number_zone, locale = excluded.locale, time_zone = excluded.time_zone, "
            "attributes = excluded.attributes, updated_at = excluded.updated_at "
            "WHERE (c.contact_id, c.number_problem, c.country, c.number_zone, c.locale, c.time_zone, c.attributes) IS DISTINCT FROM "
            "(excluded.contact_id, excluded.number_problem, excluded.country, excluded.number_zone, excluded.locale, excluded.time_zone, "
            "excluded.attributes) RETURNING ref",
            tenant, [c.ref for c in rows], [c.number.contact_id for c in rows], [c.number.number_hash for c in rows],
            [c.sealed for c in rows], [c.facts.problem for c in rows], [c.facts.country for c in rows], [c.facts.prefix for c in rows],
            [c.facts.time_zone for c in rows], [c.locale for c in rows], [c.time_zone for c in rows], [c.attributes for c in rows], now,
        )  # fmt: skip
        await put(connection, [self._changed(tenant, by_ref[row[0]], now) for row in changed])
        return len(changed)

    async def _follow_numbers(
        self, connection: Any, tenant: str, moved: Sequence[Speaker], by_ref: dict[str, NewContact], now: int
    ) -> None:
        """People with another number than before: an opt-out stays with the person and with the number left behind."""
        left: dict[str, tuple[Number, Stance]] = {}
        for speaker in moved:
            held = speaker.stances.get(MARKETING)
            if speaker.contact_id and speaker.number_hash and held is not None and held.state != "granted":
                left[ref_of_number(speaker.contact_id)] = Number(speaker.contact_id, speaker.number_hash), held
            speaker.contact_id, speaker.number_hash = by_ref[speaker.ref].number
            speaker.source = "another number"
            if speaker.version:
                speaker.raise_version()
        behind = await self._consents.lock(connection, tenant, left, now, {ref: kept[0] for ref, kept in left.items()})
        for ref, speaker in behind.items():
            if speaker.stances.get(MARKETING) != left[ref][1]:
                speaker.now_says({**speaker.stances, MARKETING: left[ref][1]}, "left behind")
        await self._consents.save(connection, tenant, [*moved, *(s for s in behind.values() if s.changed)], now)

    def _changed(self, tenant: str, contact: NewContact, now: int) -> Outgoing:
        event = ContactChanged(
            event_id=f"{tenant}:{contact.ref}:contact:{now}", tenant_id=tenant, occurred_at=now, contact_ref=contact.ref,
            contact_id=contact.number.contact_id, country=contact.facts.country, locale=contact.locale,
            time_zone=contact.time_zone or contact.facts.time_zone,
        )  # fmt: skip
        return self._publisher.record(CONTACT.name, f"{tenant}:{contact.ref}", event)

    async def find(self, connection: Any, tenant: str, ref: str) -> Any:
        """The contact's row, or None."""
        return await connection.fetchrow("SELECT * FROM contacts WHERE tenant_id = $1 AND ref = $2", tenant, ref)

    async def erase(self, connection: Any, tenant: str, ref: str, now: int) -> bool:
        """Forgets the person; False when nobody has this ref.

        What stays: the ledger, which proves consent under the tenant's own ref, and keyed hashes on the suppression
        list, so that the number is not messaged again (GDPR, articles 7(1), 17 and 21(3)).
        """
        speaker = (await self._consents.lock(connection, tenant, [ref], now))[ref]
        row = await connection.fetchrow(
            "DELETE FROM contacts WHERE tenant_id = $1 AND ref = $2 RETURNING contact_id, number_hash", tenant, ref
        )
        if row is None:
            if speaker.version == 0:
                await connection.execute(
                    "DELETE FROM consent_state WHERE tenant_id = $1 AND contact_ref = $2", tenant, ref
                )
            return False
        await connection.execute("DELETE FROM event_days WHERE tenant_id = $1 AND contact_ref = $2", tenant, ref)
        await connection.execute(
            "INSERT INTO suppressions (tenant_id, contact_id, number_hash, contact_ref, reason, source, at) "
            "VALUES ($1, $2, $3, NULL, 'erased', 'erasure', $4) ON CONFLICT DO NOTHING",
            tenant, row["contact_id"], row["number_hash"], now,
        )  # fmt: skip
        sharing = await self._consents.lock_sharing(connection, tenant, [row["contact_id"]])
        for each in sharing:
            if each.ref == ref:
                each.now_says({MARKETING: Stance("suppressed", now, "erasure")}, "erasure")
            else:
                each.source = "erasure"
                each.raise_version()
        await self._consents.save(connection, tenant, sharing, now)
        event = ContactErased(
            event_id=f"{tenant}:{ref}:erased:{now}", tenant_id=tenant, occurred_at=now, contact_ref=ref,
            contact_id=row["contact_id"],
        )  # fmt: skip
        await put(connection, [self._publisher.record(ERASED.name, f"{tenant}:{ref}", event)])
        return True

"""Contacts: stored, read, erased, each with its records for the topics in the same transaction."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from shared.contracts.events import ContactChanged, ContactErased
from shared.contracts.topics import CONTACT, ERASED
from shared.db.outbox import put
from shared.kafka.publisher import Outgoing, Publisher

from segmenter.adapters.consent_store import ConsentStore, Number, Speaker
from segmenter.domain.consent import MARKETING, Stance, merged, ref_of_number, strictest
from segmenter.domain.numbers import NumberFacts

# What is known of a person beside the contact itself, by contact_ref: it goes with the contact, or follows a merge.
ABOUT_A_PERSON: Final = ("event_days", "campaign_marks", "rfm", "list_members", "double_opt_ins")


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
        behind = await self._leave_behind(connection, tenant, left, now)
        await self._consents.save(connection, tenant, [*moved, *behind], now)

    async def _leave_behind(
        self, connection: Any, tenant: str, left: dict[str, tuple[Number, Stance]], now: int
    ) -> list[Speaker]:  # fmt: skip
        """Opt-outs that stay with numbers, by `number:...`; answers whom to save."""
        behind = await self._consents.lock(connection, tenant, left, now, {ref: kept[0] for ref, kept in left.items()})
        for ref, speaker in behind.items():
            kept = strictest(speaker.stances.get(MARKETING), left[ref][1])
            if kept is not None and speaker.stances.get(MARKETING) != kept:
                speaker.now_says({**speaker.stances, MARKETING: kept}, "left behind")
        return [speaker for speaker in behind.values() if speaker.changed]

    async def merge(
        self, connection: Any, tenant: str, keep: str, others: Sequence[str], by: str, now: int
    ) -> int | None:
        """Makes one contact of several records of one person; how many went, None when nobody has the ref to keep.

        The kept contact has its own number and attributes, and what only the others had. Of each purpose the strictest
        stance holds; an opt-out also stays with the numbers that are left. Behaviour is added up.
        """
        speakers = await self._consents.lock(connection, tenant, [keep, *others], now)
        rows = {
            row["ref"]: row
            for row in await connection.fetch(
                "SELECT ref, contact_id, number_hash FROM contacts WHERE tenant_id = $1 AND ref = ANY($2::text[])",
                tenant, [keep, *others],
            )
        }  # fmt: skip
        if keep not in rows:
            return None
        gone = sorted(ref for ref in rows if ref != keep)
        if not gone:
            return 0
        await self._take_over(connection, tenant, keep, gone, now)
        left: dict[str, tuple[Number, Stance]] = {}
        for ref in gone:
            held = speakers[ref].stances.get(MARKETING)
            if held is not None and held.state != "granted" and rows[ref]["contact_id"] != rows[keep]["contact_id"]:
                number = Number(rows[ref]["contact_id"], rows[ref]["number_hash"])
                place = ref_of_number(number.contact_id)
                left[place] = number, strictest(held, left[place][1] if place in left else None) or held
        kept = speakers[keep]
        stances = merged([kept.stances, *(speakers[ref].stances for ref in gone)])
        if stances != kept.stances:
            await self._consents.tell_merge(connection, tenant, keep, gone, kept.stances, stances, by, now)
            kept.now_says(stances, "merge")
        for ref in gone:  # nothing is said under the old refs any more; the ledger keeps what was
            speakers[ref].now_says({}, f"merged into {keep}")
        behind = await self._leave_behind(connection, tenant, left, now)
        changed = [kept, *(speakers[ref] for ref in gone), *behind]
        await self._consents.save(connection, tenant, [s for s in changed if s.changed], now)
        await connection.execute(
            "UPDATE consent_state SET contact_id = NULL, number_hash = NULL WHERE tenant_id = $1 AND contact_ref = ANY($2::text[])",
            tenant, gone,
        )  # fmt: skip
        row = await self.find(connection, tenant, keep)
        event = ContactChanged(
            event_id=f"{tenant}:{keep}:contact:{now}", tenant_id=tenant, occurred_at=now, contact_ref=keep, contact_id=row["contact_id"],
            country=row["country"], locale=row["locale"], time_zone=row["time_zone"] or row["number_zone"],
        )  # fmt: skip
        await put(connection, [self._publisher.record(CONTACT.name, f"{tenant}:{keep}", event)])
        return len(gone)

    @staticmethod
    async def _take_over(connection: Any, tenant: str, keep: str, gone: Sequence[str], now: int) -> None:
        """Attributes, locale, zone and behaviour of the others; their rows go."""
        await connection.execute(
            "UPDATE contacts AS k SET attributes = o.attributes || k.attributes, locale = COALESCE(k.locale, o.locale), "
            "time_zone = COALESCE(k.time_zone, o.time_zone), created_at = least(k.created_at, o.created_at), updated_at = $4 "
            "FROM (SELECT COALESCE((SELECT jsonb_object_agg(a.key, a.value ORDER BY c.updated_at) FROM contacts c, jsonb_each(c.attributes) a "
            "WHERE c.tenant_id = $1 AND c.ref = ANY($3::text[])), '{}') AS attributes, min(locale) AS locale, min(time_zone) AS time_zone, "
            "min(created_at) AS created_at FROM contacts WHERE tenant_id = $1 AND ref = ANY($3::text[])) AS o "
            "WHERE k.tenant_id = $1 AND k.ref = $2",
            tenant, keep, gone, now,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO event_days AS e (tenant_id, contact_ref, name, day, currency, count, sum_micros, last_at) "
            "SELECT $1, $2, name, day, currency, sum(count), sum(sum_micros), max(last_at) FROM event_days "
            "WHERE tenant_id = $1 AND contact_ref = ANY($3::text[]) GROUP BY name, day, currency "
            "ON CONFLICT (tenant_id, contact_ref, name, day, currency) DO UPDATE SET count = e.count + excluded.count, "
            "sum_micros = e.sum_micros + excluded.sum_micros, last_at = greatest(e.last_at, excluded.last_at)",
            tenant, keep, gone,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO campaign_marks SELECT DISTINCT ON (campaign_id) $1, $2, campaign_id, recipient, sent_at, delivered_at, clicked_at "
            "FROM campaign_marks WHERE tenant_id = $1 AND contact_ref = ANY($3::text[]) ORDER BY campaign_id, sent_at ON CONFLICT DO NOTHING",
            tenant, keep, gone,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO list_members SELECT DISTINCT $1, list_id, $2 FROM list_members WHERE tenant_id = $1 AND contact_ref = ANY($3::text[]) "
            "ON CONFLICT DO NOTHING",
            tenant, keep, gone,
        )  # fmt: skip
        for table in ABOUT_A_PERSON:
            await connection.execute(
                f"DELETE FROM {table} WHERE tenant_id = $1 AND contact_ref = ANY($2::text[])", tenant, gone
            )
        await connection.execute("DELETE FROM contacts WHERE tenant_id = $1 AND ref = ANY($2::text[])", tenant, gone)

    async def _bar(self, connection: Any, tenant: str, ref: str, number: Number, now: int) -> None:
        """The number goes on the suppression list; everyone who has it is told."""
        await connection.execute(
            "INSERT INTO suppressions (tenant_id, contact_id, number_hash, contact_ref, reason, source, at) "
            "VALUES ($1, $2, $3, NULL, 'erased', 'erasure', $4) ON CONFLICT DO NOTHING",
            tenant, *number, now,
        )  # fmt: skip
        sharing = await self._consents.lock_sharing(connection, tenant, [number.contact_id])
        for each in sharing:
            if each.ref == ref:
                each.now_says({MARKETING: Stance("suppressed", now, "erasure")}, "erasure")
            else:
                each.source = "erasure"
                each.raise_version()
        await self._consents.save(connection, tenant, sharing, now)

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

    async def erase(self, connection: Any, tenant: str, ref: str, now: int, *, suppress: bool = True) -> bool:
        """Forgets the person; False when nobody has this ref. Without `suppress`, for people who are no longer needed rather
        than who asked: the number may come again, with a new grant; an opt-out stays with it.

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
        for table in ABOUT_A_PERSON:
            await connection.execute(f"DELETE FROM {table} WHERE tenant_id = $1 AND contact_ref = $2", tenant, ref)
        if suppress:
            await self._bar(connection, tenant, ref, Number(row["contact_id"], row["number_hash"]), now)
        else:
            speaker.now_says({p: held for p, held in speaker.stances.items() if held.state != "granted"}, "retention")
            await self._consents.save(connection, tenant, [speaker], now)
        event = ContactErased(
            event_id=f"{tenant}:{ref}:erased:{now}", tenant_id=tenant, occurred_at=now, contact_ref=ref,
            contact_id=row["contact_id"],
        )  # fmt: skip
        await put(connection, [self._publisher.record(ERASED.name, f"{tenant}:{ref}", event)])
        return True

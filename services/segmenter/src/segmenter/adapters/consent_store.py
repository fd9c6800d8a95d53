"""The consent ledger and the stances it adds up to, with a record for the topic in the same transaction.

Locks are taken in one order everywhere: people by ref, then numbers (`number:...`) by ref. A contact's row of
`consent_state` exists as soon as the contact does, so locking it also keeps contact and consent writers apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from shared.contracts.events import ConsentChanged
from shared.contracts.topics import CONSENT
from shared.db.outbox import put
from shared.kafka.publisher import Outgoing, Publisher

from segmenter.domain.consent import MARKETING, NUMBER_REF, Stance, Stances, lift, published, ref_of_number, take_in

_STANCES = msgspec.json.Decoder(Stances)
_COLUMNS = "contact_ref, contact_id, number_hash, version, purposes"


class Entry(NamedTuple):
    """A line of the ledger. `entry_id` is derived from what it says, so that a repeat is one line."""

    entry_id: str
    ref: str
    purpose: str
    state: Literal["granted", "withdrawn"]
    source: str
    proof: str | None
    at: int
    by: str  # id of the API key, or the service that heard it
    wording: str | None = None  # what the person was shown


class Number(NamedTuple):
    contact_id: str
    number_hash: str


class Speaker:
    """One locked row of `consent_state`: a person, or a number without one."""

    __slots__ = ("changed", "contact_id", "number_hash", "ref", "source", "stances", "version")

    def __init__(self, row: Any) -> None:
        self.ref: str = row["contact_ref"]
        self.contact_id: str | None = row["contact_id"]
        self.number_hash: str | None = row["number_hash"]
        self.version: int = row["version"]
        self.stances: Stances = _STANCES.decode(row["purposes"])
        self.source = ""
        self.changed = False

    def now_says(self, stances: Stances, source: str) -> None:
        self.stances, self.source = stances, source
        self.raise_version()

    def raise_version(self) -> None:
        if not self.changed:
            self.version += 1
            self.changed = True


def stances_of(purposes: str) -> Stances:
    """The stances in a row's `purposes`."""
    return _STANCES.decode(purposes)


class ConsentStore:
    """Methods run within the caller's raw transaction (`Database.hot`) for one tenant."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def lock(
        self, connection: Any, tenant: str, refs: Iterable[str], now: int, numbers: Mapping[str, Number] | None = None
    ) -> dict[str, Speaker]:
        """Rows of these refs, made where missing (`numbers`: with these numbers) and locked."""
        ordered = sorted(set(refs), key=_lock_order)
        known = numbers or {}
        pairs = [known.get(ref) for ref in ordered]
        made = await connection.fetch(
            "INSERT INTO consent_state (tenant_id, contact_ref, contact_id, number_hash, version, purposes, updated_at) "
            "SELECT $1, ref, contact_id, number_hash, 0, '{}', $5 "
            "FROM unnest($2::text[], $3::text[], $4::text[]) AS new (ref, contact_id, number_hash) ON CONFLICT DO NOTHING "
            f"RETURNING {_COLUMNS}",
            tenant, ordered, [p.contact_id if p else None for p in pairs], [p.number_hash if p else None for p in pairs], now,
        )  # fmt: skip
        speakers = {row["contact_ref"]: Speaker(row) for row in made}  # new ones are nobody else's until the commit
        held = [ref for ref in ordered if ref not in speakers]
        if held:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM consent_state WHERE tenant_id = $1 AND contact_ref = ANY($2::text[]) "
                "ORDER BY starts_with(contact_ref, $3), contact_ref FOR UPDATE",
                tenant, held, NUMBER_REF,
            )  # fmt: skip
            speakers.update((row["contact_ref"], Speaker(row)) for row in rows)
        return speakers

    async def lock_sharing(self, connection: Any, tenant: str, contact_ids: Sequence[str]) -> list[Speaker]:
        """Rows of everyone who has one of these numbers, locked."""
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM consent_state WHERE tenant_id = $1 AND contact_id = ANY($2::text[]) "
            "ORDER BY starts_with(contact_ref, $3), contact_ref FOR UPDATE",
            tenant, list(contact_ids), NUMBER_REF,
        )  # fmt: skip
        return [Speaker(row) for row in rows]

    async def record(self, connection: Any, tenant: str, entries: Sequence[Entry], now: int) -> int:
        """Adds to the ledger what is new, takes it into the stances and tells the topic; answers how many were new."""
        speakers = await self.lock(connection, tenant, (e.ref for e in entries), now)
        new = await self._append(connection, tenant, entries, now)
        granted: dict[str, int] = {}
        for entry in entries:
            if entry.entry_id not in new:
                continue
            new.discard(entry.entry_id)  # the same line twice in one request
            speaker = speakers[entry.ref]
            stances = take_in(speaker.stances, entry.purpose, Stance(entry.state, entry.at, entry.source))
            if stances is None:
                continue
            speaker.now_says(stances, entry.source)
            if entry.purpose == MARKETING and entry.state == "granted" and speaker.contact_id is not None:
                granted[speaker.contact_id] = max(entry.at, granted.get(speaker.contact_id, 0))
        changed = [s for s in speakers.values() if s.changed]
        changed += await self._lift_numbers(connection, tenant, granted)
        await self.save(connection, tenant, changed, now)
        return len(changed)

    async def tell_merge(
        self, connection: Any, tenant: str, keep: str, gone: Sequence[str], before: Stances, after: Stances, by: str, now: int
    ) -> None:  # fmt: skip
        """Lines of the ledger for what a merge changed, so that the ledger adds up to the stances."""
        entries = [
            Entry(
                f"merge:{keep}:{purpose}:{now}", keep, purpose, stance.state, "merge", f"merge of {', '.join(gone)}"[:2000], stance.at, by
            )
            for purpose, stance in after.items()
            if stance != before.get(purpose) and stance.state != "suppressed"
        ]  # fmt: skip
        if entries:
            await self._append(connection, tenant, entries, now)

    async def _append(self, connection: Any, tenant: str, entries: Sequence[Entry], now: int) -> set[str]:
        rows = await connection.fetch(
            "INSERT INTO consent_ledger (tenant_id, entry_id, contact_ref, purpose, state, source, proof, at, wording, recorded_at, recorded_by) "
            "SELECT $1, e.*, $9::bigint, $10::text FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $11::text[]) "
            "AS e ON CONFLICT DO NOTHING RETURNING entry_id",
            tenant, [e.entry_id for e in entries], [e.ref for e in entries], [e.purpose for e in entries],
            [e.state for e in entries], [e.source for e in entries], [e.proof for e in entries], [e.at for e in entries], now,
            entries[0].by if entries else "", [e.wording for e in entries],
        )  # fmt: skip
        return {row["entry_id"] for row in rows}

    async def _lift_numbers(self, connection: Any, tenant: str, granted: Mapping[str, int]) -> list[Speaker]:
        """A grant after a number's own opt-out ends that opt-out."""
        if not granted:
            return []
        refs = sorted(ref_of_number(contact_id) for contact_id in granted)
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM consent_state WHERE tenant_id = $1 AND contact_ref = ANY($2::text[]) "
            "ORDER BY contact_ref FOR UPDATE",
            tenant, refs,
        )  # fmt: skip
        lifted = []
        for speaker in map(Speaker, rows):
            stances = lift(speaker.stances, granted[speaker.ref.removeprefix(NUMBER_REF)])
            if stances is not None:
                speaker.now_says(stances, "granted anew")
                lifted.append(speaker)
        return lifted

    async def save(self, connection: Any, tenant: str, speakers: Sequence[Speaker], now: int) -> None:
        """Writes changed rows and puts their records into the outbox."""
        if not speakers:
            return
        await connection.execute(
            "UPDATE consent_state AS s SET contact_id = n.contact_id, number_hash = n.number_hash, version = n.version, "
            "purposes = n.purposes, updated_at = $7 "
            "FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::jsonb[]) "
            "AS n (contact_ref, contact_id, number_hash, version, purposes) "
            "WHERE s.tenant_id = $1 AND s.contact_ref = n.contact_ref",
            tenant, [s.ref for s in speakers], [s.contact_id for s in speakers], [s.number_hash for s in speakers],
            [s.version for s in speakers], [msgspec.json.encode(s.stances).decode() for s in speakers], now,
        )  # fmt: skip
        told = [s for s in speakers if s.version]  # version 0 has said nothing that the topic should hold
        held = await suppressed(connection, tenant, [s.contact_id for s in told if s.contact_id])
        await put(connection, [self._record(tenant, s, s.contact_id in held, now) for s in told])

    def _record(self, tenant: str, speaker: Speaker, is_suppressed: bool, now: int) -> Outgoing:
        event = ConsentChanged(
            event_id=f"{tenant}:{speaker.ref}:consent:{speaker.version}", tenant_id=tenant, occurred_at=now,
            contact_ref=speaker.ref, contact_id=speaker.contact_id, number_hash=speaker.number_hash,
            version=speaker.version, purposes=published(speaker.stances, is_suppressed), source=speaker.source,
        )  # fmt: skip
        return self._publisher.record(CONSENT.name, f"{tenant}:{speaker.ref}", event)


async def suppressed(connection: Any, tenant: str, contact_ids: Sequence[str]) -> set[str]:
    """Which of these numbers are on the tenant's suppression list, or on the operator's for everybody."""
    if not contact_ids:
        return set()
    rows = await connection.fetch(
        "SELECT contact_id FROM suppressions WHERE tenant_id = $1 AND contact_id = ANY($2::text[]) UNION ALL "
        "SELECT s.contact_id FROM consent_state s JOIN global_suppressions g USING (number_hash) "
        "WHERE s.tenant_id = $1 AND s.contact_id = ANY($2::text[])",
        tenant, list(contact_ids),
    )  # fmt: skip
    return {row["contact_id"] for row in rows}


def _lock_order(ref: str) -> tuple[bool, str]:
    return ref.startswith(NUMBER_REF), ref

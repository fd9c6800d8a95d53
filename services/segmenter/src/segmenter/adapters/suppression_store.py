"""The suppression list: keyed hashes of numbers that get no marketing, whatever else is recorded."""

from collections.abc import Sequence
from typing import Any

from segmenter.adapters.consent_store import ConsentStore, Number
from segmenter.domain.consent import ref_of_number, unsuppressed


class SuppressionStore:
    """Methods run within the caller's raw transaction (`Database.hot`) for one tenant."""

    def __init__(self, consents: ConsentStore) -> None:
        self._consents = consents

    async def add(
        self, connection: Any, tenant: str, number: Number, ref: str | None, reason: str, source: str, now: int
    ) -> bool:
        """False when the number was there already."""
        added = await connection.fetchval(
            "INSERT INTO suppressions (tenant_id, contact_id, number_hash, contact_ref, reason, source, at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING true",
            tenant, number.contact_id, number.number_hash, ref, reason, source, now,
        )  # fmt: skip
        if added:
            await self._tell(connection, tenant, number, "suppression", now, lifted=False)
        return bool(added)

    async def remove(self, connection: Any, tenant: str, contact_id: str, now: int) -> bool:
        """False when the number was not there."""
        number_hash = await connection.fetchval(
            "DELETE FROM suppressions WHERE tenant_id = $1 AND contact_id = $2 RETURNING number_hash",
            tenant,
            contact_id,
        )
        if number_hash is not None:
            await self._tell(
                connection, tenant, Number(contact_id, number_hash), "suppression lifted", now, lifted=True
            )
        return number_hash is not None

    async def add_all(
        self, connection: Any, tenant: str, numbers: Sequence[Number], reason: str, source: str, now: int
    ) -> int:  # fmt: skip
        """Puts many numbers on the list at once; how many were new. People who have one are told to the topic."""
        added = await connection.fetch(
            "INSERT INTO suppressions (tenant_id, contact_id, number_hash, contact_ref, reason, source, at) "
            "SELECT $1, n.contact_id, n.number_hash, NULL, $4, $5, $6 FROM unnest($2::text[], $3::text[]) AS n (contact_id, number_hash) "
            "ORDER BY n.contact_id ON CONFLICT DO NOTHING RETURNING contact_id",
            tenant, [n.contact_id for n in numbers], [n.number_hash for n in numbers], reason, source, now,
        )  # fmt: skip
        await self._raise(connection, tenant, [row[0] for row in added], "suppression", now)
        return len(added)

    async def add_for_everybody(
        self, connection: Any, number_hashes: Sequence[str], reason: str, source: str, now: int
    ) -> int:  # fmt: skip
        """The operator's list, which holds for all tenants; how many were new. The transaction is for EVERYONE."""
        added = await connection.fetch(
            "INSERT INTO global_suppressions (number_hash, reason, source, at) SELECT hash, $2, $3, $4 FROM unnest($1::text[]) AS n (hash) "
            "ORDER BY hash ON CONFLICT DO NOTHING RETURNING number_hash",
            list(number_hashes), reason, source, now,
        )  # fmt: skip
        await self._tell_everybody(connection, [row[0] for row in added], "suppression for everybody", now)
        return len(added)

    async def remove_for_everybody(self, connection: Any, number_hash: str, now: int) -> bool:
        """False when the number was not there."""
        gone = await connection.fetchval(
            "DELETE FROM global_suppressions WHERE number_hash = $1 RETURNING true", number_hash
        )
        if gone:
            await self._tell_everybody(connection, [number_hash], "suppression for everybody lifted", now)
        return bool(gone)

    async def _tell_everybody(self, connection: Any, number_hashes: Sequence[str], source: str, now: int) -> None:
        rows = await connection.fetch(
            "SELECT DISTINCT tenant_id, contact_id FROM consent_state WHERE number_hash = ANY($1::text[]) AND contact_id IS NOT NULL "
            "ORDER BY tenant_id, contact_id",
            list(number_hashes),
        )  # fmt: skip
        held: dict[str, list[str]] = {}
        for row in rows:
            held.setdefault(row["tenant_id"], []).append(row["contact_id"])
        for tenant, contact_ids in held.items():
            await self._raise(connection, tenant, contact_ids, source, now)

    async def _raise(self, connection: Any, tenant: str, contact_ids: Sequence[str], source: str, now: int) -> None:
        """A new version of everyone who has one of the numbers."""
        sharing = await self._consents.lock_sharing(connection, tenant, contact_ids) if contact_ids else []
        for speaker in sharing:
            speaker.now_says(speaker.stances, source)
        await self._consents.save(connection, tenant, sharing, now)

    async def _tell(self, connection: Any, tenant: str, number: Number, source: str, now: int, *, lifted: bool) -> None:
        """A new version of everyone who has the number; of the number itself where nobody does."""
        sharing = await self._consents.lock_sharing(connection, tenant, [number.contact_id])
        if not sharing:
            ref = ref_of_number(number.contact_id)
            sharing = list((await self._consents.lock(connection, tenant, [ref], now, {ref: number})).values())
        for speaker in sharing:
            # What erasure left behind goes with the suppression; without a new grant there is still no consent.
            speaker.now_says(unsuppressed(speaker.stances) if lifted else speaker.stances, source)
        await self._consents.save(connection, tenant, sharing, now)

    async def listed(self, connection: Any, tenant: str, after: str, limit: int) -> list[Any]:
        """Rows in the order of `contact_id`, those after `after`."""
        return list(
            await connection.fetch(
                "SELECT contact_id, contact_ref, reason, source, at FROM suppressions "
                "WHERE tenant_id = $1 AND contact_id > $2 ORDER BY contact_id LIMIT $3",
                tenant, after, limit,
            )
        )  # fmt: skip

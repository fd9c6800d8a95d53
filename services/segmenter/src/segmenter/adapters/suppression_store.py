"""The suppression list: keyed hashes of numbers that get no marketing, whatever else is recorded."""

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

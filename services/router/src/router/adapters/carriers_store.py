"""Carriers and prices in PostgreSQL, and the picture of them that every replica keeps."""

import asyncio
from collections.abc import Iterable

import msgspec
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from router.domain.money import text_of
from router.domain.tariff import Tariff, Terms

POLL_S = 0.5  # new prices are in force in all replicas within two seconds

_LOAD = """
SELECT t.version, c.carrier, c.tps, c.binds, c.currency, c.enabled,
       coalesce((SELECT jsonb_object_agg(p.prefix, p.price_micros) FROM prices p WHERE p.carrier = c.carrier), '{}') AS prices
FROM tariff t LEFT JOIN carriers c ON true
"""


class OtherCurrencyError(ValueError):
    """Prices are compared as they are, so carriers in use at the same time must have one currency."""


class CarriersStore:
    """`tariff` is what is in force here; `open` loads it, `run` keeps it fresh."""

    tariff: Tariff

    def __init__(self, database: Database, connectors: Iterable[str]) -> None:
        self._database, self._connectors = database, frozenset(connectors)
        self._log = logger(part="tariff")
        self.tariff = Tariff(-1, {}, self._connectors)

    async def open(self) -> None:
        """Waits for the database: without prices nothing can be decided."""
        while True:
            try:
                return await self.refresh()
            except RetryLaterError as error:
                self._log.warning("tariff waits", error=str(error))
                await asyncio.sleep(0.5)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                async with self._database.hot(EVERYONE) as connection:
                    version = await connection.fetchval("SELECT version FROM tariff")
                if version != self.tariff.version:
                    await self.refresh()
            except RetryLaterError as error:
                self._log.warning("tariff is not refreshed", error=str(error))

    async def refresh(self) -> None:
        # One statement sees one moment, so version and prices belong together.
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(_LOAD)
        terms = {
            row["carrier"]: Terms(
                row["carrier"], row["tps"], row["binds"], row["currency"], msgspec.json.decode(row["prices"]), row["enabled"]
            )
            for row in rows
            if row["carrier"] is not None
        }  # fmt: skip
        if rows[0]["version"] >= self.tariff.version:
            self.tariff = Tariff(rows[0]["version"], terms, self._connectors)
            self._log.info("tariff in force", version=self.tariff.version, carriers=len(terms))

    async def put(self, terms: Terms, key_id: str) -> int:
        """Makes or replaces a carrier; answers the tariff's version. The same again changes nothing.

        OtherCurrencyError when a carrier in use has another currency.
        """
        async with self._database.hot(EVERYONE) as connection:
            version: int = await connection.fetchval("SELECT version FROM tariff FOR UPDATE")
            if terms.enabled:
                other = await connection.fetchval(
                    "SELECT currency FROM carriers WHERE enabled AND carrier <> $1 AND currency <> $2 LIMIT 1",
                    terms.carrier, terms.currency,
                )  # fmt: skip
                if other is not None:
                    raise OtherCurrencyError(
                        f"the carriers in use have prices in {other}: use one currency, or disable the others first"
                    )
            if terms != await self._there(connection, terms.carrier):
                version += 1
                await self._write(connection, terms, version, key_id)
        await self.refresh()
        return version

    @staticmethod
    async def _there(connection: object, carrier: str) -> Terms | None:
        rows = await connection.fetch(_LOAD + " WHERE c.carrier = $1", carrier)  # type: ignore[attr-defined]
        if not rows:
            return None
        row = rows[0]
        return Terms(
            carrier, row["tps"], row["binds"], row["currency"], msgspec.json.decode(row["prices"]), row["enabled"]
        )

    @staticmethod
    async def _write(connection: object, terms: Terms, version: int, key_id: str) -> None:
        execute = connection.execute  # type: ignore[attr-defined]
        await execute(
            "INSERT INTO carriers (carrier, tps, binds, currency, enabled, version) VALUES ($1, $2, $3, $4, $5, $6) "
            "ON CONFLICT (carrier) DO UPDATE SET (tps, binds, currency, enabled, version) = "
            "(excluded.tps, excluded.binds, excluded.currency, excluded.enabled, excluded.version)",
            terms.carrier, terms.tps, terms.binds, terms.currency, terms.enabled, version,
        )  # fmt: skip
        prefixes = list(terms.prices)
        await execute("DELETE FROM prices WHERE carrier = $1 AND NOT prefix = ANY($2::text[])", terms.carrier, prefixes)
        await execute(
            "INSERT INTO prices (carrier, prefix, price_micros, currency, version) "
            "SELECT $1, prefix, price, $4, $5 FROM unnest($2::text[], $3::bigint[]) AS given (prefix, price) "
            "ON CONFLICT (carrier, prefix) DO UPDATE SET (price_micros, currency, version) = "
            "(excluded.price_micros, excluded.currency, excluded.version) "
            "WHERE (prices.price_micros, prices.currency) <> (excluded.price_micros, excluded.currency)",
            terms.carrier, prefixes, list(terms.prices.values()), terms.currency, version,
        )  # fmt: skip
        told = {
            "tps": terms.tps, "binds": terms.binds, "currency": terms.currency, "enabled": terms.enabled,
            "prices": {prefix: text_of(price) for prefix, price in terms.prices.items()},
        }  # fmt: skip
        await execute(
            "INSERT INTO tariff_changes (version, carrier, terms, key_id) VALUES ($1, $2, $3, $4)",
            version, terms.carrier, msgspec.json.encode(told).decode(), key_id,
        )  # fmt: skip
        await execute("UPDATE tariff SET version = $1", version)

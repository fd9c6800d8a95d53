"""Carriers and prices in PostgreSQL, and the picture of them that every replica keeps."""

import asyncio
import gc
import time
from collections.abc import Iterable
from sys import intern

import msgspec
from shared.clock import Clock, now_ms
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from router.domain.money import text_of
from router.domain.price_list import ReadList
from router.domain.tariff import ListPrices, Tariff, Terms

SLICE_S = 0.005  # of work on new prices, and of rest after it
POLL_S = 0.5  # new prices are in force in all replicas within two seconds

_LOAD = """
SELECT t.version, c.carrier, c.tps, c.binds, c.currency, c.enabled, c.list_version,
       coalesce((SELECT jsonb_object_agg(p.prefix, p.price_micros) FROM prices p WHERE p.carrier = c.carrier), '{}') AS prices
FROM tariff t LEFT JOIN carriers c ON true
"""


_LIST = """
SELECT kind, code, price_micros FROM list_prices
WHERE carrier = $1 AND valid_from <= $2 AND (valid_until IS NULL OR valid_until > $2)
"""
_LIST_CHANGES = """
SELECT min(moment) FROM (
    SELECT valid_from AS moment FROM list_prices WHERE carrier = $1
    UNION ALL SELECT valid_until FROM list_prices WHERE carrier = $1
) AS moments WHERE moment > $2
"""
# What a new list says of a code holds from that code's first row on; codes that it does not name end when it begins.
_STARTS = """
WITH given AS (
    SELECT kind, code, min(valid_from) AS first
    FROM unnest($3::text[], $4::text[], $5::bigint[]) AS g (kind, code, valid_from) GROUP BY kind, code
), old AS (
    SELECT p.kind, p.code, p.valid_from, coalesce(g.first, $2::bigint) AS cut
    FROM list_prices p LEFT JOIN given g ON g.kind = p.kind AND g.code = p.code WHERE p.carrier = $1
)
"""
_SAME = "p.carrier = $1 AND (p.kind, p.code, p.valid_from) = (old.kind, old.code, old.valid_from)"
_LIST_DROP = f"{_STARTS} DELETE FROM list_prices p USING old WHERE {_SAME} AND p.valid_from >= old.cut"
_LIST_CUT = (
    f"{_STARTS} UPDATE list_prices p SET valid_until = old.cut FROM old "
    f"WHERE {_SAME} AND (p.valid_until IS NULL OR p.valid_until > old.cut)"
)


async def work_out(tariff: Tariff, keys: Iterable[tuple[str, str | None]]) -> None:
    """Makes offers ready before they are asked for, in slices short enough for everything else on the loop."""
    started = time.monotonic()
    for prefix, network in keys:
        tariff.offers(prefix, network)
        if time.monotonic() - started > SLICE_S:
            await asyncio.sleep(SLICE_S)
            started = time.monotonic()


class OtherCurrencyError(ValueError):
    """Prices are compared as they are, so carriers in use at the same time must have one currency."""


class CarriersStore:
    """`tariff` is what is in force here; `open` loads it, `run` keeps it fresh."""

    tariff: Tariff

    def __init__(self, database: Database, connectors: Iterable[str], clock: Clock = now_ms) -> None:
        self._database, self._connectors, self._clock = database, frozenset(connectors), clock
        self._lists: dict[str, tuple[int, ListPrices]] = {}  # carrier to its list's version and what it says now
        self._amounts: dict[int, int] = {}  # a million prices are few different ones: each is kept once
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
                if version != self.tariff.version or self._list_changes():
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
        for row in rows:
            if row["carrier"] is not None:
                await self._read_list(row["carrier"], row["list_version"])
        if rows[0]["version"] >= self.tariff.version:
            lists = {carrier: found for carrier, (_, found) in self._lists.items() if carrier in terms}
            following = self.tariff.followed_by(rows[0]["version"], terms, lists)
            await work_out(following, self.tariff.worked_out)
            if following.version < self.tariff.version:
                return  # another refresh was quicker
            self.tariff = following
            gc.freeze()  # a million prices are no garbage: walking them would hold a batch up for 100 ms and more
            self._log.info("tariff in force", version=self.tariff.version, carriers=len(terms))

    def _list_changes(self) -> bool:
        now = self._clock()
        return any(found.changes_at is not None and found.changes_at <= now for _, found in self._lists.values())

    async def _read_list(self, carrier: str, version: int) -> None:
        """One carrier at a time, and only what has changed: no batch waits for a million prices."""
        known, now = self._lists.get(carrier), self._clock()
        if version == 0 or (known and known[0] == version and not (known[1].changes_at or now + 1) <= now):
            return
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(_LIST, carrier, now)
            changes_at = await connection.fetchval(_LIST_CHANGES, carrier, now)
        networks: dict[str, int] = {}
        prefixes: dict[str, int] = {}
        for kind, code, price in rows:
            found = networks if kind == "network" else prefixes
            found[intern(code)] = self._amounts.setdefault(price, price)
        self._lists[carrier] = version, ListPrices(networks, prefixes, changes_at)

    async def currency_of(self, carrier: str) -> str | None:
        async with self._database.hot(EVERYONE) as connection:
            found: str | None = await connection.fetchval("SELECT currency FROM carriers WHERE carrier = $1", carrier)
        return found

    async def put_list(self, carrier: str, given: ReadList, key_id: str) -> int:
        """The list is in force from its first moment on: what was there ends then. Answers the tariff's version."""
        kinds, codes, prices, begins, ends = (list(column) for column in zip(*given.prices, strict=True))
        async with self._database.hot(EVERYONE) as connection:
            version: int = await connection.fetchval("UPDATE tariff SET version = version + 1 RETURNING version")
            for statement in (_LIST_DROP, _LIST_CUT):
                await connection.execute(statement, carrier, given.starts, kinds, codes, begins)
            await connection.execute(
                "INSERT INTO list_prices (carrier, kind, code, price_micros, valid_from, valid_until, version) "
                "SELECT $1, given.*, $7 FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) AS given",
                carrier, kinds, codes, prices, begins, ends, version,
            )  # fmt: skip
            await connection.execute("UPDATE carriers SET list_version = $2 WHERE carrier = $1", carrier, version)
            told = {"list": {"rows": len(codes), "from": given.starts, "mapping": dict(given.mapping.columns)}}
            await connection.execute(
                "INSERT INTO tariff_changes (version, carrier, terms, key_id) VALUES ($1, $2, $3, $4)",
                version, carrier, msgspec.json.encode(told).decode(), key_id,
            )  # fmt: skip
        await self.refresh()
        return version

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

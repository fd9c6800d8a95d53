"""The vault of keys: a random key per tenant, kind and day, wrapped by the master key, in PostgreSQL's schema `vault`.

Keys live eight days and are deleted by a daily job, which shreds whatever is still sealed with them. Which kinds a
service may read is granted in the database (`bootstrap.py`), not promised here.
"""

import asyncio
import os
from collections.abc import Iterable
from datetime import UTC, datetime

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.crypto.sealing import CannotOpenError, Key, Kind, key_id_of
from shared.errors import RetryLaterError

KEY_LIFE_DAYS = 8  # sealed topics keep 72 h; the rest is slack for repair and redrive
_WRAP = b"relais vault key v1"


def day_of(now_ms: int) -> int:
    """Days since 1970, UTC."""
    return now_ms // 86_400_000


class Vault:
    """Keys in memory, fetched or made as they are needed. `load` and `ready_for` are the only awaits, once a batch."""

    def __init__(self, pool: asyncpg.Pool, master: bytes) -> None:
        self._pool = pool
        self._master = AESGCM(master)
        self._by_id: dict[int, Key] = {}
        self._current: dict[tuple[str, Kind, int], Key] = {}
        self._missing: set[int] = set()
        self._lock = asyncio.Lock()

    async def ready_for(self, tenants: Iterable[str], kinds: Iterable[Kind], now_ms: int) -> None:
        """After this `sealer` works for these tenants and kinds today. Makes the day's keys where none exist."""
        day = day_of(now_ms)
        wanted = [(t, k) for t in set(tenants) for k in kinds if (t, k, day) not in self._current]
        if not wanted:
            return
        async with self._lock:
            wanted = [(t, k) for t, k in wanted if (t, k, day) not in self._current]
            for tenant, kind in wanted:
                wrapped = self._wrap(AESGCM.generate_key(256), tenant, kind)
                await self._execute(
                    "INSERT INTO vault.keys (tenant_id, kind, day, wrapped) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                    tenant, str(kind), datetime.fromtimestamp(day * 86400, UTC).date(), wrapped,
                )  # fmt: skip
                rows = await self._fetch(
                    "SELECT key_id, tenant_id, kind, wrapped FROM vault.keys WHERE tenant_id = $1 AND kind = $2 AND day = $3",
                    tenant, str(kind), datetime.fromtimestamp(day * 86400, UTC).date(),
                )  # fmt: skip
                self._keep(rows)
                self._current[tenant, kind, day] = self._by_id[rows[0]["key_id"]]

    def sealer(self, tenant: str, kind: Kind, now_ms: int) -> Key:
        """Today's key of a tenant; `ready_for` has been awaited for it."""
        return self._current[tenant, kind, day_of(now_ms)]

    async def load(self, envelopes: Iterable[bytes]) -> None:
        """After this `open` works for these envelopes, unless their keys are gone."""
        wanted = set()
        for envelope in envelopes:
            try:
                key_id = key_id_of(envelope)
            except CannotOpenError:
                continue  # `open` says so for the one record it concerns
            if key_id not in self._by_id and key_id not in self._missing:
                wanted.add(key_id)
        if wanted:
            rows = await self._fetch(
                "SELECT key_id, tenant_id, kind, wrapped FROM vault.keys WHERE key_id = ANY($1::int[])", list(wanted)
            )
            self._keep(rows)
            self._missing |= wanted - self._by_id.keys()

    def open(self, tenant: str, kind: Kind, envelope: bytes) -> str:
        """What the envelope holds. CannotOpenError when its key is gone or it is not this tenant's."""
        key = self._by_id.get(key_id_of(envelope))
        if key is None:
            raise CannotOpenError("the envelope's key is gone or not granted to this service")
        if key.tenant != tenant or key.kind is not kind:
            raise CannotOpenError(f"the envelope is not a {kind} of this tenant")
        return key.open(envelope)

    def _keep(self, rows: list[asyncpg.Record]) -> None:
        for row in rows:
            kind = Kind(row["kind"])
            wrapped = bytes(row["wrapped"])
            secret = self._master.decrypt(wrapped[:12], wrapped[12:], self._about(row["tenant_id"], kind))
            self._by_id[row["key_id"]] = Key(row["tenant_id"], kind, row["key_id"], secret)

    def _wrap(self, secret: bytes, tenant: str, kind: Kind) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._master.encrypt(nonce, secret, self._about(tenant, kind))

    @staticmethod
    def _about(tenant: str, kind: Kind) -> bytes:
        return _WRAP + f"\x1f{tenant}\x1f{kind}".encode()

    async def _fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        try:
            return list(await self._pool.fetch(query, *args))
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError) as error:
            raise RetryLaterError("the vault is away") from error

    async def _execute(self, query: str, *args: object) -> None:
        try:
            await self._pool.execute(query, *args)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError) as error:
            raise RetryLaterError("the vault is away") from error


async def shred(pool: asyncpg.Pool, now_ms: int) -> int:
    """The daily job: deletes keys past their life. Answers how many."""
    limit = datetime.fromtimestamp((day_of(now_ms) - KEY_LIFE_DAYS) * 86400, UTC).date()
    result = await pool.execute("DELETE FROM vault.keys WHERE day < $1", limit)
    return int(result.split()[-1])

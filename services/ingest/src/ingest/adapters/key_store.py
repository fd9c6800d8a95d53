"""Tenants and their keys in PostgreSQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.crypto.tokens import Caller
from shared.db.database import Database, passing_troubles
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from ingest.adapters.tables import keys, tenants
from ingest.domain.api_key import StoredKey


@dataclass(frozen=True)
class NewKey:
    key_id: str
    secret_sha256: bytes
    name: str
    scopes: tuple[str, ...]
    expires_at: int | None
    messages_per_s: int | None
    created_by: str


class KeyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_ids(self, ids: Iterable[str]) -> dict[str, StoredKey]:
        """Keys of any tenant, by id: what the authenticator asks before it knows the tenant."""
        async with passing_troubles():
            rows = await self._database.pool.fetch("SELECT * FROM keys_by_id($1)", list(ids))
        return {
            r["key_id"]: StoredKey(
                Caller(r["tenant_id"], frozenset(r["scopes"]), r["key_id"]), r["secret_sha256"], r["expires_at"],
                r["revoked_at"], r["tenant_per_s"], r["key_per_s"],
            )
            for r in rows
        }  # fmt: skip

    async def make_tenant(self, tenant_id: str, name: str, messages_per_s: int | None, first: NewKey, now: int) -> bool:
        """A tenant with its first key; False when there is such a tenant already, and then nothing is written."""
        async with self._database.transaction(tenant_id) as connection:
            made = await connection.execute(
                insert(tenants)
                .values(tenant_id=tenant_id, name=name, messages_per_s=messages_per_s, created_at=now)
                .on_conflict_do_nothing()
            )
            if made.rowcount == 0:
                return False
            await connection.execute(insert(keys).values(_values(tenant_id, first, now)))
            return True

    async def ensure(self, tenant_id: str, first: NewKey, now: int) -> None:
        """At the first start: the tenant and the key, where either is missing."""
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(
                insert(tenants).values(tenant_id=tenant_id, name=tenant_id, created_at=now).on_conflict_do_nothing()
            )
            await connection.execute(insert(keys).values(_values(tenant_id, first, now)).on_conflict_do_nothing())

    async def make_key(self, tenant_id: str, new: NewKey, now: int) -> None:
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(insert(keys).values(_values(tenant_id, new, now)))

    async def keys_of(self, tenant_id: str) -> list[dict[str, Any]]:
        """Without the digests, newest first."""
        shown = [column for column in keys.c if column.name not in ("secret_sha256", "tenant_id")]
        async with self._database.transaction(tenant_id) as connection:
            rows = await connection.execute(select(*shown).order_by(keys.c.created_at.desc(), keys.c.key_id))
            return [dict(row._mapping) for row in rows]

    async def revoke(self, tenant_id: str, key_id: str, now: int) -> bool:
        """True when the tenant has such a key; a key revoked before keeps its time."""
        async with self._database.transaction(tenant_id) as connection:
            known = await connection.execute(select(keys.c.key_id).where(keys.c.key_id == key_id))
            if known.first() is None:
                return False
            await connection.execute(
                update(keys).where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
            )
            return True

    async def tenant(self, tenant_id: str) -> dict[str, Any] | None:
        async with self._database.transaction(tenant_id) as connection:
            row = (await connection.execute(select(tenants).where(tenants.c.tenant_id == tenant_id))).first()
            return dict(row._mapping) if row is not None else None

    async def change_tenant(self, tenant_id: str, changes: dict[str, Any]) -> None:
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(update(tenants).where(tenants.c.tenant_id == tenant_id).values(**changes))


def _values(tenant_id: str, new: NewKey, now: int) -> dict[str, Any]:
    return {
        "key_id": new.key_id, "tenant_id": tenant_id, "secret_sha256": new.secret_sha256, "name": new.name,
        "scopes": list(new.scopes), "expires_at": new.expires_at, "messages_per_s": new.messages_per_s,
        "created_at": now, "created_by": new.created_by,
    }  # fmt: skip

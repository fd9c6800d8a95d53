"""The first job on an empty cluster, and harmless on a full one: database, roles, schemas and the vault.

Run by an operator's account, never by a service. Services' roles own nothing and are not superusers, so row-level
security binds them.
"""

import asyncio
import os
from collections.abc import Mapping

import asyncpg

from shared.db.roles import DATABASE, OWNER, SERVICES
from shared.errors import SettingError

VAULT = f"""
CREATE SCHEMA IF NOT EXISTS vault AUTHORIZATION {OWNER};
CREATE TABLE IF NOT EXISTS vault.keys (
    key_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('number', 'text')),
    day       date NOT NULL,
    wrapped   bytea NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, kind, day)
);
ALTER TABLE vault.keys OWNER TO {OWNER};
ALTER TABLE vault.keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.keys FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS owner_shreds ON vault.keys;
CREATE POLICY owner_shreds ON vault.keys TO {OWNER} USING (true) WITH CHECK (true);
"""


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


async def bootstrap(admin_url: str, environment: Mapping[str, str]) -> None:
    """Makes what is missing. `environment` holds RELAIS_PASSWORD_OWNER and one password a service."""
    admin = await asyncpg.connect(admin_url)
    try:
        roles = [(OWNER, "RELAIS_PASSWORD_OWNER"), *((s.role, s.password_variable) for s in SERVICES)]
        known = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
        for role, variable in roles:
            if variable not in environment:
                raise SettingError(f"setting {variable} is missing: the password of the database role {role}")
            verb = "ALTER" if role in known else "CREATE"
            await admin.execute(
                f"{verb} ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {_quoted(environment[variable])}"
            )
        if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await admin.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
    finally:
        await admin.close()
    base, _, query = admin_url.partition("?")
    database_url = base.rsplit("/", 1)[0] + f"/{DATABASE}" + (f"?{query}" if query else "")
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;"
            )
            await connection.execute(VAULT)
            for service in SERVICES:
                await connection.execute(
                    f"GRANT CONNECT ON DATABASE {DATABASE} TO {service.role};"
                    f"CREATE SCHEMA IF NOT EXISTS {service.schema} AUTHORIZATION {OWNER};"
                    f"GRANT USAGE ON SCHEMA {service.schema} TO {service.role};"
                    f"ALTER ROLE {service.role} IN DATABASE {DATABASE} SET search_path = {service.schema};"
                    # In force for every table that the owner's migrations make later.
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {service.schema} "
                    f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service.role};"
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {service.schema} "
                    f"GRANT USAGE ON SEQUENCES TO {service.role};"
                )
                if service.opens:
                    kinds = ", ".join(_quoted(str(kind)) for kind in service.opens)
                    await connection.execute(
                        f"GRANT USAGE ON SCHEMA vault TO {service.role};"
                        f"GRANT SELECT, INSERT ON vault.keys TO {service.role};"
                        f"DROP POLICY IF EXISTS {service.role}_keys ON vault.keys;"
                        f"CREATE POLICY {service.role}_keys ON vault.keys TO {service.role} "
                        f"USING (kind IN ({kinds})) WITH CHECK (kind IN ({kinds}));"
                    )
    finally:
        await connection.close()


def main() -> None:
    url = os.environ.get("RELAIS_DATABASE_ADMIN_URL")
    if not url:
        raise SettingError("setting RELAIS_DATABASE_ADMIN_URL is missing: a superuser's URL of the PostgreSQL cluster")
    asyncio.run(bootstrap(url, os.environ))

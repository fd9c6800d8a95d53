"""Alembic for one service: its migrations live beside its code, its version table in its own schema.

`python -m <service> migrate` runs them as the owner role, which services themselves never use.
"""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, pool, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.errors import SettingError

TENANT_SETTING = "relais.tenants"
EVERYONE = "*"  # what background workers set: they serve all tenants; requests never do


def migrate(package_dir: Path, schema: str) -> None:
    """Brings the service's schema to the newest version. `package_dir` holds `migrations/`."""
    url = os.environ.get("RELAIS_DATABASE_OWNER_URL")
    if not url:
        raise SettingError("setting RELAIS_DATABASE_OWNER_URL is missing: the owner role's URL of the database")
    # Here, not above: a service that runs never migrates, and Alembic would take 12 MB of its memory.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(package_dir / "migrations"))
    config.attributes["url"] = sqlalchemy_url(url)
    config.attributes["schema"] = schema
    command.upgrade(config, "head")


def sqlalchemy_url(url: str) -> str:
    """A plain PostgreSQL URL as SQLAlchemy's asyncpg dialect wants it."""
    return "postgresql+asyncpg://" + url.split("://", 1)[1]


async def run_env(metadata: MetaData) -> None:
    """What each service's `migrations/env.py` calls."""
    from alembic import context  # as above

    options: dict[str, Any] = context.config.attributes
    schema = options["schema"]
    engine = create_async_engine(options["url"], poolclass=pool.NullPool)

    def work(connection: Connection) -> None:
        connection.execute(text(f"SET search_path = {schema}"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table_schema=schema,
            include_schemas=False,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            # Replicas that start together take turns.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {schema}"})
            context.run_migrations()

    async with engine.connect() as connection:
        await connection.run_sync(work)
        await connection.commit()
    await engine.dispose()


def protect(table: str) -> list[str]:
    """The statements that keep tenants of a table apart, for its migration: row-level security with FORCE.

    The transaction's setting `relais.tenants` lists whose rows may be seen and written; unset, none may. The table
    has a column `tenant_id`. The setting is read once a statement, not once a row.
    """
    allowed = f"(SELECT string_to_array(current_setting('{TENANT_SETTING}', true), ','))"
    rule = f"tenant_id = ANY ({allowed}::text[]) OR (SELECT current_setting('{TENANT_SETTING}', true)) = '{EVERYONE}'"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenants_never_meet ON {table} USING ({rule}) WITH CHECK ({rule})",
    ]

"""What keeps tenants apart: read from the catalogue, so that it is there for every table, whoever adds one."""

import asyncio

import asyncpg
import pytest
from shared.db.database import Database
from shared.db.roles import OWNER, SERVICES
from support.parts import Parts


async def test_every_table_with_tenants_has_forced_row_level_security_and_roles_cannot_pass_it(parts: Parts) -> None:
    for service in SERVICES:
        await parts.migrate(service.service)
    connection = await asyncpg.connect(parts.admin_url())
    try:
        rows = await connection.fetch(
            """
            SELECT n.nspname AS schema, c.relname AS name, c.relrowsecurity AS on, c.relforcerowsecurity AS forced,
                   c.relispartition AS partition,
                   pg_get_userbyid(c.relowner) AS owner,
                   (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
            WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY ($1::text[])
            """,
            [*(s.schema for s in SERVICES), "vault"],
        )
        roles = await connection.fetch(
            "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = ANY ($1::text[])",
            [OWNER, *(s.role for s in SERVICES)],
        )
    finally:
        await connection.close()
    assert {r["schema"] for r in rows} >= {s.schema for s in SERVICES if s.service != "router"}
    for row in rows:
        assert (row["on"], row["forced"]) == (True, True), (
            f"{row['schema']}.{row['name']} has no forced row-level security"
        )
        # A partition without a policy shows nothing to whoever asks for it by its own name.
        assert row["policies"] > 0 or row["partition"]
        assert row["owner"] == OWNER
    assert len(roles) == len(SERVICES) + 1
    assert not any(r["rolsuper"] or r["rolbypassrls"] for r in roles)


async def test_a_role_sees_nothing_of_another_services_schema(parts: Parts) -> None:
    async def refused(service: str, schema: str) -> bool:
        connection = await asyncpg.connect(parts.database_url(service))
        try:
            return not await connection.fetchval("SELECT has_schema_privilege($1, 'USAGE')", schema)
        finally:
            await connection.close()

    pairs = [(a.service, b.schema) for a in SERVICES for b in SERVICES if a is not b]
    assert all(await asyncio.gather(*(refused(service, schema) for service, schema in pairs)))


async def test_a_connection_goes_back_without_the_tenant_it_served_however_its_work_ended(parts: Parts) -> None:
    database = Database(parts.database_url("dlr-processor"), "test", pool_size=1)
    await database.open()
    try:

        async def left() -> tuple[object, ...]:
            return tuple(
                await database.pool.fetchrow(
                    "SELECT pg_backend_pid(), coalesce(current_setting('relais.tenants', true), ''), "
                    "current_setting('enable_seqscan')"
                )
            )

        async def work(statement: str) -> int:
            async with database.hot("acme") as connection:
                await connection.execute("SELECT set_config('enable_seqscan', 'off', true)")
                await connection.execute(statement)
                return int(connection.get_server_pid())

        backend = await work("SELECT 1")
        assert await left() == (backend, "", "on")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await work("SELECT 1 / 0")
        assert await left() == (backend, "", "on")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work("SELECT pg_sleep(30)"), 0.2)
        assert (await left())[1:] == ("", "on")
    finally:
        await database.close()

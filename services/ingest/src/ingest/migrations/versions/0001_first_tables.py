"""Tenants, keys, idempotency rows, and which processes live."""

import sqlalchemy as sa
from alembic import op
from shared.db.migrate import protect
from shared.db.roles import OWNER
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("messages_per_s", sa.Integer, comment="limit for each process; null: the default of the settings"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.tenant_id"), nullable=False, index=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("messages_per_s", sa.Integer),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False, comment="id of the key that made it; empty: made at the first start"),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
    )  # fmt: skip
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("born_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, comment="the process that runs it; null when none does"),
        sa.Column("answer", sa.LargeBinary, comment="null until done"),
    )
    op.create_index("idempotency_expires", "idempotency", ["expires_ms"])
    op.create_table(
        "replicas",
        sa.Column("replica_id", sa.Text, primary_key=True),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
    )
    for table in ("tenants", "keys", "idempotency"):
        for statement in protect(table):
            op.execute(statement)
    # Who a key belongs to is what the authenticator asks before it knows any tenant. This function answers for exact
    # ids only, in the owner's name, so that no transaction of the service ever needs to see other tenants' rows for it.
    for table in ("tenants", "keys"):
        op.execute(f"CREATE POLICY owner_answers_authenticator ON {table} FOR SELECT TO {OWNER} USING (true)")
    op.execute(
        """
        CREATE FUNCTION keys_by_id(ids text[]) RETURNS TABLE (
            key_id text, tenant_id text, secret_sha256 bytea, scopes text[], expires_at bigint, revoked_at bigint,
            key_per_s integer, tenant_per_s integer
        )
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ingest, pg_temp
        AS $$
            SELECT k.key_id, k.tenant_id, k.secret_sha256, k.scopes, k.expires_at, k.revoked_at,
                   k.messages_per_s, t.messages_per_s
            FROM keys k JOIN tenants t USING (tenant_id) WHERE k.key_id = ANY (ids)
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION keys_by_id(text[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION keys_by_id(text[]) TO relais_ingest")


def downgrade() -> None:
    op.execute("DROP FUNCTION keys_by_id(text[])")
    for table in ("replicas", "idempotency", "keys", "tenants"):
        op.drop_table(table)

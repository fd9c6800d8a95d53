"""Frequency caps: each tenant's rule for a purpose, and the places claimed under it."""

from alembic import op
from shared.db.migrate import protect

revision = "0002"
down_revision = "0001"

TABLES = {
    "cap_rules": """
        tenant_id text NOT NULL, purpose text NOT NULL,
        per_day int NOT NULL, per_week int NOT NULL,   -- 0: no limit
        version int NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, purpose)""",
    "cap_claims": """
        tenant_id text NOT NULL, contact_id text NOT NULL, purpose text NOT NULL,
        ids text[] NOT NULL, ats bigint[] NOT NULL,    -- message ids and the moments they are for, side by side
        per_day int NOT NULL, per_week int NOT NULL,   -- the cap that was last applied
        PRIMARY KEY (tenant_id, contact_id, purpose)""",
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        for statement in protect(table):
            op.execute(statement)
    # A claim changes its row in place: room for that keeps it from touching the index.
    op.execute("ALTER TABLE cap_claims SET (fillfactor = 70)")

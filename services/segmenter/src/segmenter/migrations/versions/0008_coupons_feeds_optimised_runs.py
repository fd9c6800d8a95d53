"""Coupon pools and product feeds; runs that follow their answers; chunks made when a window opens."""

from alembic import op
from shared.db.migrate import protect

revision = "0008"
down_revision = "0007"

TABLES = {
    "coupons": """
        tenant_id text NOT NULL, pool text NOT NULL, code text NOT NULL,
        claimed_by text, claimed_at bigint,   -- the message that carries it; for ever
        PRIMARY KEY (tenant_id, pool, code)""",
    "feeds": """
        tenant_id text NOT NULL, id text NOT NULL, version int NOT NULL, items jsonb NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
}
STATEMENTS = (
    "CREATE INDEX coupons_free ON coupons (tenant_id, pool, code) WHERE claimed_by IS NULL",
    "CREATE UNIQUE INDEX coupons_of_message ON coupons (tenant_id, pool, claimed_by) WHERE claimed_by IS NOT NULL",
    "ALTER TABLE campaigns ADD COLUMN optimise jsonb, ADD COLUMN quiet_days int",
    # decide_at: chunks due from then on need a split; 0: all take the newest there is. split: shares of 10,000 by variant.
    "ALTER TABLE runs ADD COLUMN optimise jsonb, ADD COLUMN decide_at bigint, ADD COLUMN split jsonb, ADD COLUMN split_at bigint",
    # born_at: of the chunk that these people were in first: their message ids are derived from it.
    "ALTER TABLE chunks ADD COLUMN split jsonb, ADD COLUMN born_at bigint",
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        for statement in protect(table):
            op.execute(statement)
    for statement in STATEMENTS:
        op.execute(statement)

"""Variants with a holdout, schedules with chunks that fall due, approval above a cost, and rules kept as data."""

from alembic import op
from shared.db.migrate import protect

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """ALTER TABLE campaigns ADD COLUMN variants jsonb NOT NULL DEFAULT '[]', ADD COLUMN holdout int NOT NULL DEFAULT 0,
       ADD COLUMN schedule jsonb, ADD COLUMN launch_at bigint,
       ADD COLUMN edited_by text, ADD COLUMN approved_by text, ADD COLUMN approved_at bigint, ADD COLUMN approved_cost numeric""",
    "ALTER TABLE runs ADD COLUMN variants jsonb NOT NULL DEFAULT '[]', ADD COLUMN holdout int NOT NULL DEFAULT 0",
    "ALTER TABLE chunks ADD COLUMN due_at bigint NOT NULL DEFAULT 0",
    "CREATE INDEX campaigns_by_start ON campaigns (launch_at) WHERE state = 'scheduled'",
    "CREATE INDEX runs_going ON runs (tenant_id) WHERE state = 'running'",
    "CREATE INDEX chunks_waiting ON chunks (tenant_id, campaign_id, run, due_at, chunk) WHERE state = 'waiting'",
    """CREATE TABLE tenant_rules (
       tenant_id text NOT NULL, kind text NOT NULL, body jsonb NOT NULL, version int NOT NULL,
       updated_at bigint NOT NULL, updated_by text NOT NULL,
       PRIMARY KEY (tenant_id, kind))""",
    *protect("tenant_rules"),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

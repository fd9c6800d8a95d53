"""What tenants have used of their limits, and what was released for them."""

from alembic import op
from shared.db.migrate import protect

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """CREATE TABLE limit_uses (
        tenant_id text NOT NULL,
        limit_id text NOT NULL,
        campaign text NOT NULL,
        period text NOT NULL,
        messages bigint NOT NULL DEFAULT 0,
        cost_micros bigint NOT NULL DEFAULT 0,
        next_us bigint NOT NULL DEFAULT 0,
        touched_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, limit_id, campaign, period)
    )""",
    *protect("limit_uses"),
    """CREATE TABLE credit_grants (
        tenant_id text NOT NULL,
        slot bigint NOT NULL,
        messages bigint NOT NULL,
        PRIMARY KEY (slot, tenant_id)
    )""",
    *protect("credit_grants"),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

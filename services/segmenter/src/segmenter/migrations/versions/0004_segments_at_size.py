"""What filters over a million contacts read by: attributes by value, behaviour by name and day, people by hash."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    "CREATE INDEX contacts_by_attribute ON contacts USING gin (attributes jsonb_path_ops)",
    "CREATE INDEX contacts_sample ON contacts (tenant_id, contact_id)",
    "CREATE INDEX event_days_by_name ON event_days (tenant_id, name, day) INCLUDE (contact_ref, count, currency, sum_micros, last_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

"""Erasure reaches messages kept for later, and leaves a receipt of what went."""

from alembic import op
from shared.db.migrate import protect

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    # Messages kept before this have none, and are judged by consent when they wake.
    "ALTER TABLE later_messages ADD COLUMN contact_id text",
    "CREATE INDEX later_messages_of_number ON later_messages (tenant_id, contact_id)",
    """CREATE TABLE erasures (
       tenant_id text NOT NULL, contact_ref text NOT NULL, at bigint NOT NULL,
       contact_id text NOT NULL, erased jsonb NOT NULL, erased_by text NOT NULL,
       PRIMARY KEY (tenant_id, contact_ref, at))""",
    *protect("erasures"),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

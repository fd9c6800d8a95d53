"""Content checks: held messages with what people decided about them, and what repeats and velocities are counted by."""

from alembic import op
from shared.db.migrate import protect

revision = "0007"
down_revision = "0006"

TABLES = {
    "held_messages": """
        tenant_id text NOT NULL, message_id text NOT NULL,
        campaign_id text, run text, contact_id text NOT NULL, contact_ref text, purpose text NOT NULL, country text NOT NULL,
        rule text NOT NULL, features text NOT NULL, fingerprint text NOT NULL,
        held_at bigint NOT NULL, not_after bigint NOT NULL,
        message bytea NOT NULL,            -- ready to go, number and text included, sealed at rest
        decision text CHECK (decision IN ('release', 'block', 'cancel')), decided_by text, decided_at bigint,
        PRIMARY KEY (tenant_id, message_id)""",
    "held_decisions": """
        tenant_id text NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY,
        at bigint NOT NULL, decision text NOT NULL, decided_by text NOT NULL,
        campaign_id text, run text, rule text, message_ids text[], messages int NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
    "sent_texts": """
        tenant_id text NOT NULL, contact_id text NOT NULL,
        fingerprints text[] NOT NULL, ids text[] NOT NULL, ats bigint[] NOT NULL,   -- side by side, the newest last
        PRIMARY KEY (tenant_id, contact_id)""",
    "traffic_slots": """
        tenant_id text NOT NULL, rule text NOT NULL, prefix text NOT NULL, slot bigint NOT NULL, count int NOT NULL,
        PRIMARY KEY (tenant_id, rule, prefix, slot)""",
}
STATEMENTS = (
    "CREATE INDEX held_by_campaign ON held_messages (tenant_id, campaign_id, run)",
    "CREATE INDEX held_of_number ON held_messages (tenant_id, contact_id)",
    "CREATE INDEX held_decided ON held_messages (held_at) WHERE decision IS NOT NULL",
    "CREATE INDEX held_by_end ON held_messages (not_after)",
    "CREATE INDEX held_decisions_of_run ON held_decisions (tenant_id, campaign_id, run)",
    "ALTER TABLE sent_texts SET (fillfactor = 70)",  # a row changes in place, without touching the index
    "ALTER TABLE runs ADD COLUMN held int NOT NULL DEFAULT 0",
    # Who released what stays as it was written.
    "REVOKE UPDATE, DELETE ON held_decisions FROM relais_segmenter",
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        for statement in protect(table):
            op.execute(statement)
    for statement in STATEMENTS:
        op.execute(statement)

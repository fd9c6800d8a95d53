"""What a filter may ask beside attributes and behaviour: campaigns got, RFM classes, lists and snapshots."""

from alembic import op
from shared.db.migrate import protect

revision = "0010"
down_revision = "0009"

TABLES = {
    "campaign_marks": """
        tenant_id text NOT NULL, contact_ref text NOT NULL, campaign_id text NOT NULL,
        recipient bigint NOT NULL,        -- of the last message: the number by which its links' clicks name it
        sent_at bigint NOT NULL, delivered_at bigint, clicked_at bigint,
        PRIMARY KEY (tenant_id, campaign_id, contact_ref)""",
    "rfm": """
        tenant_id text NOT NULL, contact_ref text NOT NULL,
        r smallint NOT NULL, f smallint NOT NULL, m smallint NOT NULL, class text NOT NULL,
        PRIMARY KEY (tenant_id, contact_ref)""",
    "rfm_days": """
        tenant_id text NOT NULL, day int NOT NULL, people int NOT NULL,
        PRIMARY KEY (tenant_id)""",
    "lists": """
        tenant_id text NOT NULL, id text NOT NULL, name text NOT NULL,
        segment text, segment_version int, filter jsonb,   -- of a snapshot: what it was taken of
        size int NOT NULL, made_at bigint NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
    "list_members": """
        tenant_id text NOT NULL, list_id text NOT NULL, contact_ref text NOT NULL,
        PRIMARY KEY (tenant_id, list_id, contact_ref)""",
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        for statement in protect(table):
            op.execute(statement)
    op.execute("CREATE INDEX campaign_marks_of_contact ON campaign_marks (tenant_id, contact_ref)")
    op.execute("CREATE INDEX campaign_marks_by_recipient ON campaign_marks (tenant_id, recipient)")
    op.execute("CREATE INDEX list_members_of_contact ON list_members (tenant_id, contact_ref)")

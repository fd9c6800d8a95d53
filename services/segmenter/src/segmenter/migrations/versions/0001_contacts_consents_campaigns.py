"""Contacts, the consent ledger, suppressions, segments, templates, campaigns with their runs, and event sums.

Times are milliseconds since 1970, UTC, as in the events.
"""

from alembic import op
from shared.db.migrate import protect
from shared.db.outbox import table_ddl

revision = "0001"
down_revision = None

TABLES = {
    "contacts": """
        tenant_id text NOT NULL, ref text NOT NULL,
        contact_id text NOT NULL, number_hash text NOT NULL,
        number bytea NOT NULL,            -- sealed at rest
        number_problem text,              -- why no SMS goes there; null when one may
        country text NOT NULL, prefix text NOT NULL, number_zone text,
        locale text, time_zone text,
        attributes jsonb NOT NULL,
        created_at bigint NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, ref)""",
    "consent_ledger": """
        tenant_id text NOT NULL, entry_id text NOT NULL,
        contact_ref text NOT NULL, purpose text NOT NULL,
        state text NOT NULL CHECK (state IN ('granted', 'withdrawn')),
        source text NOT NULL, proof text,
        at bigint NOT NULL, recorded_at bigint NOT NULL, recorded_by text NOT NULL,
        PRIMARY KEY (tenant_id, entry_id)""",
    "consent_state": """
        tenant_id text NOT NULL, contact_ref text NOT NULL,
        contact_id text, number_hash text,
        version bigint NOT NULL,          -- 0: the person has said nothing yet
        purposes jsonb NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, contact_ref)""",
    "suppressions": """
        tenant_id text NOT NULL, contact_id text NOT NULL, number_hash text NOT NULL,
        contact_ref text, reason text NOT NULL, source text NOT NULL, at bigint NOT NULL,
        PRIMARY KEY (tenant_id, contact_id)""",
    "segments": """
        tenant_id text NOT NULL, id text NOT NULL, name text NOT NULL,
        filter jsonb NOT NULL, version int NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
    "templates": """
        tenant_id text NOT NULL, id text NOT NULL, version int NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
    "template_versions": """
        tenant_id text NOT NULL, id text NOT NULL, version int NOT NULL,
        name text NOT NULL, purpose text NOT NULL, bodies jsonb NOT NULL, default_locale text NOT NULL,
        created_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, id, version)""",
    "campaigns": """
        tenant_id text NOT NULL, id text NOT NULL, name text NOT NULL,
        segment text NOT NULL, template text NOT NULL, purpose text NOT NULL,
        sender text, validity_s int NOT NULL,
        state text NOT NULL, version bigint NOT NULL, run text, runs int NOT NULL DEFAULT 0,
        created_at bigint NOT NULL, updated_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
    "runs": """
        tenant_id text NOT NULL, campaign_id text NOT NULL, run text NOT NULL,
        state text NOT NULL, born_at bigint NOT NULL,
        segment text NOT NULL, segment_version int NOT NULL, filter jsonb NOT NULL,
        template text NOT NULL, template_version int NOT NULL,
        purpose text NOT NULL, sender text, validity_s int NOT NULL,
        audience int NOT NULL, chunks int NOT NULL, chunks_done int NOT NULL DEFAULT 0,
        prepared int NOT NULL DEFAULT 0, dropped jsonb NOT NULL DEFAULT '{}',
        ended_at bigint,
        PRIMARY KEY (tenant_id, campaign_id, run)""",
    "chunks": """
        tenant_id text NOT NULL, campaign_id text NOT NULL, run text NOT NULL, chunk int NOT NULL,
        refs text[] NOT NULL,             -- the audience as it was at launch
        state text NOT NULL CHECK (state IN ('waiting', 'released', 'done', 'cancelled')),
        released_at bigint, done_at bigint,
        PRIMARY KEY (tenant_id, campaign_id, run, chunk)""",
    "later_messages": """
        tenant_id text NOT NULL, message_id text NOT NULL,
        lane text NOT NULL, wake_at bigint NOT NULL,
        message bytea NOT NULL,           -- what was accepted, number and content included, sealed at rest
        PRIMARY KEY (tenant_id, message_id)""",
    "events_seen": """
        tenant_id text NOT NULL, event_id text NOT NULL, seen_day int NOT NULL,
        PRIMARY KEY (tenant_id, event_id)""",
    "event_days": """
        tenant_id text NOT NULL, contact_ref text NOT NULL, name text NOT NULL,
        day int NOT NULL, currency text NOT NULL,
        count int NOT NULL, sum_micros numeric NOT NULL, last_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, contact_ref, name, day, currency)""",
}

INDEXES = (
    "CREATE INDEX contacts_of_number ON contacts (contact_id)",
    "CREATE INDEX consent_of_number ON consent_state (contact_id) WHERE contact_id IS NOT NULL",
    "CREATE INDEX ledger_of_contact ON consent_ledger (tenant_id, contact_ref, at)",
    "CREATE INDEX chunks_in_flight ON chunks (released_at) WHERE state = 'released'",
    "CREATE INDEX later_messages_by_time ON later_messages (lane, wake_at)",
    "CREATE INDEX events_seen_by_day ON events_seen (seen_day)",
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        for statement in protect(table):
            op.execute(statement)
    for statement in (*INDEXES, *table_ddl()):
        op.execute(statement)
    # A ledger is append-only for the service that writes it, not by its good will.
    op.execute("REVOKE UPDATE, DELETE ON consent_ledger FROM relais_segmenter")

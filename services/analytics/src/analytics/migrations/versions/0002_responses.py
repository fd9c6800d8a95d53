"""Clicks, conversions and what they are due to, opt-outs, and who asked to be forgotten."""

from alembic import op
from shared.db.migrate import protect

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE message_state ADD contact_ref text NOT NULL DEFAULT ''",
    "ALTER TABLE message_state ADD recipient bigint",
    "CREATE INDEX message_state_person ON message_state (tenant_id, contact_ref) WHERE contact_ref > chr(1)",
    "CREATE INDEX message_state_recipient ON message_state (tenant_id, recipient)",
    "CREATE INDEX message_state_campaign ON message_state (tenant_id, campaign_id) WHERE campaign_id <> ''",
    "CREATE INDEX message_state_minute ON message_state (minute)",
    """CREATE TABLE clicks (
        event_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        at bigint NOT NULL,
        link_id text NOT NULL,
        campaign_id text NOT NULL,
        recipient bigint,
        message_id uuid,
        human boolean NOT NULL,
        agent text NOT NULL
    )""",
    "CREATE INDEX clicks_message ON clicks (tenant_id, message_id)",
    "CREATE INDEX clicks_campaign ON clicks (tenant_id, campaign_id)",
    "CREATE INDEX clicks_unresolved ON clicks (at) WHERE message_id IS NULL AND recipient IS NOT NULL",
    "CREATE INDEX clicks_at ON clicks (at)",
    """CREATE TABLE conversions (
        tenant_id text NOT NULL,
        event_id text NOT NULL,
        contact_ref text NOT NULL,
        name text NOT NULL,
        at bigint NOT NULL,
        value_micros bigint,
        currency text,
        version integer NOT NULL,
        received_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, event_id)
    )""",
    "CREATE INDEX conversions_person ON conversions (tenant_id, contact_ref)",
    "CREATE INDEX conversions_received ON conversions (received_at)",
    """CREATE TABLE corrections (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id text NOT NULL,
        event_id text NOT NULL,
        was_micros bigint,
        was_currency text,
        was_at bigint NOT NULL,
        is_micros bigint,
        is_currency text,
        is_at bigint NOT NULL,
        changed_at bigint NOT NULL
    )""",
    "CREATE INDEX corrections_event ON corrections (tenant_id, event_id)",
    """CREATE TABLE attributions (
        tenant_id text NOT NULL,
        event_id text NOT NULL,
        model text NOT NULL,
        message_id uuid NOT NULL,
        campaign_id text NOT NULL,
        share_micros bigint NOT NULL,
        value_micros bigint NOT NULL,
        currency text NOT NULL,
        changed_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, event_id, model, message_id)
    )""",
    "CREATE INDEX attributions_campaign ON attributions (tenant_id, campaign_id, model)",
    """CREATE TABLE attribution_rules (
        tenant_id text NOT NULL,
        campaign_id text NOT NULL,
        window_ms bigint NOT NULL,
        events text[] NOT NULL,
        PRIMARY KEY (tenant_id, campaign_id)
    )""",
    """CREATE TABLE refused_events (
        tenant_id text NOT NULL,
        reason text NOT NULL,
        events bigint NOT NULL,
        last_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, reason)
    )""",
    """CREATE TABLE erased (
        tenant_id text NOT NULL,
        contact_ref text NOT NULL,
        at bigint NOT NULL,
        PRIMARY KEY (tenant_id, contact_ref)
    )""",
    """CREATE TABLE stances (
        tenant_id text NOT NULL,
        contact_ref text NOT NULL,
        version bigint NOT NULL,
        is_out boolean NOT NULL,
        PRIMARY KEY (tenant_id, contact_ref)
    )""",
    """CREATE TABLE opt_outs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id text NOT NULL,
        contact_ref text NOT NULL,
        version bigint NOT NULL,
        at bigint NOT NULL,
        source text NOT NULL,
        message_id uuid,
        campaign_id text NOT NULL
    )""",
    "CREATE INDEX opt_outs_campaign ON opt_outs (tenant_id, campaign_id)",
    "CREATE INDEX opt_outs_person ON opt_outs (tenant_id, contact_ref)",
    *(
        statement
        for table in (
            "clicks", "conversions", "corrections", "attributions", "attribution_rules", "refused_events", "erased", "stances",
            "opt_outs",
        )
        for statement in protect(table)
    ),
)  # fmt: skip


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

"""Carriers, their prices, and the messages that wait."""

from alembic import op
from shared.db.migrate import protect

revision = "0001"
down_revision = None

STATEMENTS = (
    # The operator's, of no tenant: no row-level security.
    "CREATE TABLE tariff (one boolean PRIMARY KEY CHECK (one), version integer NOT NULL)",
    "INSERT INTO tariff VALUES (true, 0)",
    """CREATE TABLE carriers (
        carrier text PRIMARY KEY CHECK (carrier ~ '^[a-z0-9-]{1,32}$'),
        tps integer NOT NULL CHECK (tps > 0),
        binds integer NOT NULL CHECK (binds > 0),
        currency text NOT NULL,
        enabled boolean NOT NULL,
        version integer NOT NULL
    )""",
    """CREATE TABLE prices (
        carrier text NOT NULL REFERENCES carriers ON DELETE CASCADE,
        prefix text NOT NULL,
        price_micros bigint NOT NULL CHECK (price_micros >= 0),
        currency text NOT NULL,
        version integer NOT NULL,
        PRIMARY KEY (carrier, prefix)
    )""",
    """CREATE TABLE tariff_changes (
        version integer PRIMARY KEY,
        carrier text NOT NULL,
        terms jsonb NOT NULL,
        key_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT now()
    )""",
    """CREATE TABLE deferred (
        message_id uuid PRIMARY KEY,
        tenant_id text NOT NULL,
        lane text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('prepared', 'returned')),
        attempt integer NOT NULL,
        due_at bigint NOT NULL,
        since bigint NOT NULL,
        reason text NOT NULL,
        contact_id text NOT NULL,
        campaign_id text,
        body bytea NOT NULL
    )""",
    "CREATE INDEX deferred_due ON deferred (lane, due_at, message_id)",
    "CREATE INDEX deferred_contact ON deferred (contact_id)",
    "CREATE INDEX deferred_campaign ON deferred (tenant_id, campaign_id) WHERE campaign_id IS NOT NULL",
    *protect("deferred"),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

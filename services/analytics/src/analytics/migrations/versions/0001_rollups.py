"""Message states, the counters made of them, and how far the topic is counted."""

from alembic import op
from shared.db.migrate import protect
from shared.db.outbox import table_ddl

revision = "0001"
down_revision = None

PLACE = """
    tenant_id text NOT NULL,
    minute bigint NOT NULL,
    campaign_id text NOT NULL,
    run text NOT NULL,
    variant text NOT NULL,
    segment text NOT NULL,
    purpose text NOT NULL,
    country text NOT NULL,
    carrier text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    currency text NOT NULL,
"""

STATEMENTS = (
    f"""CREATE TABLE message_state (
        message_id uuid PRIMARY KEY,
        version integer NOT NULL,
        {PLACE}
        submitted boolean NOT NULL,
        parts integer NOT NULL,
        cost_micros bigint NOT NULL,
        attempt integer NOT NULL,
        submitted_at bigint
    ) WITH (fillfactor = 70)""",  # each row is rewritten a few times: room for that on its own page
    f"""CREATE TABLE rollups (
        {PLACE}
        messages bigint NOT NULL,
        submitted bigint NOT NULL,
        parts bigint NOT NULL,
        cost_micros bigint NOT NULL,
        changed_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, campaign_id, minute, run, variant, segment, purpose, country, carrier, outcome, reason, currency)
    ) WITH (fillfactor = 50)""",
    # Of no tenant: places in a topic.
    """CREATE TABLE offsets (
        topic text NOT NULL,
        partition integer NOT NULL,
        next_offset bigint NOT NULL,
        newest bigint NOT NULL,
        PRIMARY KEY (topic, partition)
    )""",
    *table_ddl(),
    *protect("message_state"),
    *protect("rollups"),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

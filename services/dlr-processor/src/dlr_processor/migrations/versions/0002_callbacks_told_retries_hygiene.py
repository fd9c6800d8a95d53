"""What was called back, receivers' health and shapes; envelopes for retries; numbers' reachability; rare states.

Times are bigint milliseconds since 1970, days are days since 1970 UTC.
"""

from alembic import op
from shared.db.migrate import protect

revision = "0002"
down_revision = "0001"

TABLES = (
    # The message's own index-only-by-birth rows stay heap-only updates: rare states are listed beside them.
    """
CREATE TABLE rare_states (
    tenant_id  text NOT NULL,
    status     text NOT NULL,
    message_id uuid NOT NULL,
    day        integer NOT NULL,
    PRIMARY KEY (tenant_id, status, message_id, day)
) PARTITION BY RANGE (day)
""",
    """
CREATE TABLE callbacks_made (
    message_id  uuid NOT NULL,
    day         integer NOT NULL,
    id          bigint NOT NULL,
    tenant_id   text NOT NULL,
    version     integer NOT NULL,
    endpoint_id uuid,
    outcome     text NOT NULL,
    tries       integer NOT NULL,
    made_at     bigint NOT NULL,
    ended_at    bigint NOT NULL,
    PRIMARY KEY (message_id, id, day)
) PARTITION BY RANGE (day)
""",
    """
CREATE TABLE callback_health (
    target       text PRIMARY KEY,
    tenant_id    text NOT NULL,
    failures     integer NOT NULL,
    paused_until bigint NOT NULL,
    last_outcome text NOT NULL,
    delivered_at bigint,
    failed_at    bigint,
    delivered    bigint NOT NULL,
    failed       bigint NOT NULL
)
""",
    "ALTER TABLE callback_endpoints ADD shape text NOT NULL DEFAULT 'standard', ADD batch integer NOT NULL DEFAULT 1",
    "ALTER TABLE messages ADD retried integer NOT NULL DEFAULT 0",
    """
CREATE TABLE envelopes (
    message_id uuid PRIMARY KEY,
    tenant_id  text NOT NULL,
    body       bytea NOT NULL,
    kept_at    bigint NOT NULL
)
""",
    "CREATE INDEX envelopes_old ON envelopes (kept_at)",
    """
CREATE TABLE retry_policies (
    tenant_id text NOT NULL,
    purpose   text NOT NULL,
    reasons   text[] NOT NULL,
    attempts  integer NOT NULL,
    within_s  integer NOT NULL,
    PRIMARY KEY (tenant_id, purpose)
)
""",
    """
CREATE TABLE number_health (
    tenant_id      text NOT NULL,
    contact_id     text NOT NULL,
    contact_ref    text,
    score          integer NOT NULL,
    failures       integer NOT NULL,
    evidence       jsonb NOT NULL,
    changed_at     bigint NOT NULL,
    suppressed_at  bigint,
    to_tell        text,
    PRIMARY KEY (tenant_id, contact_id)
)
""",
    "CREATE INDEX numbers_to_tell ON number_health (changed_at) WHERE to_tell IS NOT NULL",
)
PARTITIONED = ("rare_states", "callbacks_made")
TENANT_TABLES = (*PARTITIONED, "callback_health", "envelopes", "retry_policies", "number_health")
ALL = "('messages', 'parts', 'rare_states', 'callbacks_made')"

FUNCTIONS = (
    f"""
CREATE OR REPLACE FUNCTION make_partition(parent text, for_day integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = dlr_processor, pg_temp AS $$
DECLARE
    name text := parent || '_' || to_char(to_timestamp(for_day * 86400::bigint) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF parent NOT IN {ALL} THEN
        RAISE EXCEPTION 'not a table that is partitioned by day';
    END IF;
    IF to_regclass('dlr_processor.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('partitions of dlr_processor'));
    IF to_regclass('dlr_processor.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s) WITH (fillfactor = %s)',
                   name, parent, for_day, for_day + 1, CASE WHEN parent IN ('messages', 'parts') THEN 70 ELSE 100 END);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    RETURN true;
EXCEPTION WHEN check_violation THEN
    RETURN false;  -- the default partition has rows of that day: they stay there
END $$
""",
    f"""
CREATE OR REPLACE FUNCTION drop_partition(parent text, for_day integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = dlr_processor, pg_temp AS $$
DECLARE
    name text := parent || '_' || to_char(to_timestamp(for_day * 86400::bigint) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF parent NOT IN {ALL} THEN
        RAISE EXCEPTION 'not a table that is partitioned by day';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('partitions of dlr_processor'));
    IF to_regclass('dlr_processor.' || name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', name);
    RETURN true;
END $$
""",
)


def upgrade() -> None:
    for statement in (*TABLES, *FUNCTIONS):
        op.execute(statement)
    for table in TENANT_TABLES:
        for statement in protect(table):
            op.execute(statement)
    for table in PARTITIONED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        op.execute(f"ALTER TABLE {table}_default ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table}_default FORCE ROW LEVEL SECURITY")

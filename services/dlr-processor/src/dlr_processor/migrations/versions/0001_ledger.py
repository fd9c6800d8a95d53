"""The ledger, what waits beside it, callbacks and inbound messages.

Times are bigint milliseconds since 1970 (`to_timestamp(x / 1000.0)` shows one), days are days since 1970 UTC.
"""

from alembic import op
from shared.db.migrate import protect
from shared.db.outbox import table_ddl

revision = "0001"
down_revision = None

MESSAGES = """
CREATE TABLE messages (
    message_id     uuid NOT NULL,
    day            integer NOT NULL,
    tenant_id      text NOT NULL,
    version        integer NOT NULL,
    status         text NOT NULL,
    reason         text,
    final          boolean NOT NULL,
    states         jsonb NOT NULL,
    purpose        text,
    contact_id     text,
    contact_ref    text,
    number_hash    text,
    campaign_id    text,
    run            text,
    variant        text,
    segment        text,
    country        text,
    network        text,
    carrier        text,
    attempt        integer NOT NULL,
    parts          integer NOT NULL,
    cost_micros    bigint NOT NULL,
    currency       text,
    client_ref     text,
    callback_url   text,
    sender         text,
    decision       text,
    rules          text,
    drop_detail    text,
    deferred_until bigint,
    accepted_at    bigint NOT NULL,
    updated_at     bigint NOT NULL,
    PRIMARY KEY (message_id, day)
) PARTITION BY RANGE (day)
"""
# No column of an index changes once it is set, so that later states are heap-only updates within the page.
MESSAGES_INDEXES = (
    "CREATE INDEX messages_of_tenant ON messages (tenant_id, message_id)",
    "CREATE INDEX messages_of_campaign ON messages (campaign_id, message_id) WHERE campaign_id IS NOT NULL",
    "CREATE INDEX messages_of_client_ref ON messages (client_ref) WHERE client_ref IS NOT NULL",
    "CREATE INDEX messages_of_number ON messages (number_hash)",
)

PARTS = """
CREATE TABLE parts (
    message_id         uuid NOT NULL,
    day                integer NOT NULL,
    attempt            integer NOT NULL,
    part               integer NOT NULL,
    tenant_id          text NOT NULL,
    carrier            text NOT NULL,
    outcome            text NOT NULL,
    outcome_reason     text,
    carrier_message_id text,
    command_status     bigint NOT NULL,
    price_micros       bigint NOT NULL,
    currency           text NOT NULL,
    sender             text NOT NULL,
    network            text,
    number_hash        text NOT NULL,
    decision           text NOT NULL,
    submitted_at       bigint NOT NULL,
    status             text,
    reason             text,
    error_code         text,
    done_at            bigint,
    PRIMARY KEY (message_id, attempt, part, day)
) PARTITION BY RANGE (day)
"""
PARTS_INDEXES = (
    "CREATE INDEX parts_of_carrier_id ON parts (carrier_message_id, carrier) WHERE carrier_message_id IS NOT NULL",
    "CREATE INDEX parts_unknown ON parts (number_hash, carrier) WHERE outcome = 'unknown'",
)

# Services' roles own nothing, so the owner lends them these two verbs. A partition is reached through its table, whose
# policy holds there; asked for by its own name it shows nothing: row-level security without a policy.
PARTITIONS = """
CREATE FUNCTION make_partition(parent text, for_day integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = dlr_processor, pg_temp AS $$
DECLARE
    name text := parent || '_' || to_char(to_timestamp(for_day * 86400::bigint) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF parent NOT IN ('messages', 'parts') THEN
        RAISE EXCEPTION 'not a table that is partitioned by day';
    END IF;
    IF to_regclass('dlr_processor.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('partitions of dlr_processor'));
    IF to_regclass('dlr_processor.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s) WITH (fillfactor = 70)',
                   name, parent, for_day, for_day + 1);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    RETURN true;
EXCEPTION WHEN duplicate_table THEN
    RETURN false;  -- another replica made it just now, and the look before it came from a cache
WHEN check_violation THEN
    RETURN false;  -- the default partition has rows of that day: they stay there
END $$;

CREATE FUNCTION drop_partition(parent text, for_day integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = dlr_processor, pg_temp AS $$
DECLARE
    name text := parent || '_' || to_char(to_timestamp(for_day * 86400::bigint) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF parent NOT IN ('messages', 'parts') THEN
        RAISE EXCEPTION 'not a table that is partitioned by day';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('partitions of dlr_processor'));
    IF to_regclass('dlr_processor.' || name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', name);
    RETURN true;
END $$;

CREATE FUNCTION partition_days(parent text) RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = dlr_processor, pg_temp AS $$
    SELECT (extract(epoch FROM to_date(right(c.relname, 8), 'YYYYMMDD'))::bigint / 86400)::integer
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('dlr_processor.' || parent) AND c.relname ~ '_[0-9]{8}$'
$$;
REVOKE ALL ON FUNCTION make_partition, drop_partition, partition_days FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partition, drop_partition, partition_days TO relais_dlr_processor;
"""

# Receipts that no submission explains yet. Nobody's data until they are matched: only the service itself reads them.
WAITING = (
    """
CREATE TABLE waiting_receipts (
    event_id           text PRIMARY KEY,
    carrier            text NOT NULL,
    carrier_message_id text,
    number_hash        text NOT NULL,
    sender             text NOT NULL,
    body               bytea NOT NULL,
    received_at        bigint NOT NULL,
    check_at           bigint NOT NULL,
    checks             integer NOT NULL DEFAULT 0
)
""",
    "CREATE INDEX waiting_of_carrier_id ON waiting_receipts (carrier_message_id, carrier)",
    "CREATE INDEX waiting_due ON waiting_receipts (check_at)",
)

INBOUND = (
    """
CREATE TABLE inbound (
    event_id    text NOT NULL,
    tenant_id   text NOT NULL,
    carrier     text NOT NULL,
    recipient   text NOT NULL,
    number_hash text NOT NULL,
    contact_id  text,
    message_id  uuid,
    keyword     text,
    number      bytea NOT NULL,
    text        bytea NOT NULL,
    received_at bigint NOT NULL,
    PRIMARY KEY (event_id, tenant_id)
)
""",
    "CREATE INDEX inbound_of_tenant ON inbound (tenant_id, received_at)",
    """
CREATE TABLE opt_outs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL,
    tenant_id  text NOT NULL,
    contact_id text NOT NULL,
    body       text NOT NULL,
    UNIQUE (event_id, tenant_id)
)
""",
)

CALLBACKS = (
    """
CREATE TABLE callback_endpoints (
    endpoint_id    uuid PRIMARY KEY,
    tenant_id      text NOT NULL,
    url            text NOT NULL,
    events         text[] NOT NULL,
    secret         bytea NOT NULL,
    previous       bytea,
    previous_until bigint,
    made_at        bigint NOT NULL
)
""",
    "CREATE INDEX endpoints_of_tenant ON callback_endpoints (tenant_id)",
    """
CREATE TABLE callback_secrets (
    tenant_id      text PRIMARY KEY,
    secret         bytea NOT NULL,
    previous       bytea,
    previous_until bigint,
    made_at        bigint NOT NULL
)
""",
    """
CREATE TABLE callback_queue (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text NOT NULL,
    message_id  uuid NOT NULL,
    version     integer NOT NULL,
    target      text NOT NULL,
    endpoint_id uuid,
    url         text NOT NULL,
    body        text NOT NULL,
    tries       integer NOT NULL DEFAULT 0,
    due_at      bigint NOT NULL,
    made_at     bigint NOT NULL
)
""",
    "CREATE INDEX callbacks_due ON callback_queue (target, due_at)",
    "CREATE INDEX callbacks_of_message ON callback_queue (message_id, target, id)",
)

SWEEPS = "CREATE TABLE sweeps (name text PRIMARY KEY, upto uuid NOT NULL)"

TENANT_TABLES = (
    "messages",
    "parts",
    "inbound",
    "opt_outs",
    "callback_endpoints",
    "callback_secrets",
    "callback_queue",
)


def upgrade() -> None:
    for statement in (MESSAGES, *MESSAGES_INDEXES, PARTS, *PARTS_INDEXES, *WAITING, *INBOUND, *CALLBACKS, SWEEPS):
        op.execute(statement)
    for table in TENANT_TABLES:
        for statement in protect(table):
            op.execute(statement)
    for table in ("messages", "parts"):
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT WITH (fillfactor = 70)")
        op.execute(f"ALTER TABLE {table}_default ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table}_default FORCE ROW LEVEL SECURITY")
    for statement in table_ddl():
        op.execute(statement)
    functions, grants = PARTITIONS.split("REVOKE ALL", 1)
    for function in functions.split("$$;\n"):
        if function.strip():
            op.execute(function + "$$")
    for grant in ("REVOKE ALL" + grants).strip().split(";\n"):
        op.execute(grant)

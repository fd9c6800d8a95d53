"""Price lists by network with dates, the number plan, and the books of rules with their versions."""

from alembic import op

revision = "0002"
down_revision = "0001"

# All of it is the operator's, of no tenant: no row-level security.
STATEMENTS = (
    """CREATE TABLE list_prices (
        carrier text NOT NULL REFERENCES carriers ON DELETE CASCADE,
        kind text NOT NULL CHECK (kind IN ('network', 'prefix')),
        code text NOT NULL,
        valid_from bigint NOT NULL,
        valid_until bigint,
        price_micros bigint NOT NULL CHECK (price_micros >= 0),
        version integer NOT NULL,
        PRIMARY KEY (carrier, kind, code, valid_from)
    )""",
    "ALTER TABLE carriers ADD COLUMN list_version integer NOT NULL DEFAULT 0",
    """CREATE TABLE number_ranges (
        prefix text PRIMARY KEY,
        country text NOT NULL,
        network text NOT NULL,
        operator text NOT NULL
    )""",
    "CREATE INDEX number_ranges_country ON number_ranges (country)",
    # Every book of rules (routes, windows, senders, limits) is kept whole, once a version; the newest row of rule_books_in_force says which one holds.
    """CREATE TABLE rule_books (
        kind text NOT NULL,
        version integer NOT NULL,
        body jsonb NOT NULL,
        key_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (kind, version)
    )""",
    """CREATE TABLE rule_books_in_force (
        kind text NOT NULL,
        serial bigint GENERATED ALWAYS AS IDENTITY,
        version integer NOT NULL,
        key_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (kind, serial),
        FOREIGN KEY (kind, version) REFERENCES rule_books
    )""",
    "CREATE TABLE rules_changed (one boolean PRIMARY KEY CHECK (one), serial bigint NOT NULL)",
    "INSERT INTO rules_changed VALUES (true, 0)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

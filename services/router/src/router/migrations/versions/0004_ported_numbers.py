"""The networks of ported numbers, by keyed hash."""

from alembic import op

revision = "0004"
down_revision = "0003"

# Of numbers, whoever writes to them: no tenant's.
STATEMENTS = (
    """CREATE TABLE ported_numbers (
        number_hash text PRIMARY KEY,
        network text NOT NULL,
        source text NOT NULL,
        expires_at bigint NOT NULL
    )""",
    "CREATE INDEX ported_numbers_expiry ON ported_numbers (expires_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

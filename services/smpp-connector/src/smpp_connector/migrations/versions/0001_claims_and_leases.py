"""Claims before the wire, and leases of bind slots."""

from alembic import op
from shared.db.migrate import protect

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Half of each page stays free, so that the answer's update finds room beside its row and touches no index (HOT).
    op.execute(
        """
        CREATE TABLE claims (
            message_id uuid NOT NULL,
            attempt    integer NOT NULL,
            tenant_id  text NOT NULL,
            carrier    text NOT NULL,
            slot       smallint NOT NULL,
            epoch      bigint NOT NULL,
            token      bigint NOT NULL,
            claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            outcome    text CHECK (outcome IN
                ('free', 'submitted', 'rejected', 'failed', 'unknown', 'returned', 'dropped')),
            cause      text,
            settled_at bigint,
            about      bytea NOT NULL,
            answer     bytea,
            PRIMARY KEY (message_id, attempt)
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)
        """
    )
    # Rows come in the order of time: a few pages of summary find the young ones, and the ones to delete.
    op.execute("CREATE INDEX claims_claimed_at ON claims USING brin (claimed_at) WITH (pages_per_range = 16)")
    for statement in protect("claims"):
        op.execute(statement)
    # No tenant's data: which process may use which bind.
    op.execute(
        """
        CREATE TABLE bind_leases (
            carrier     text NOT NULL,
            slot        smallint NOT NULL,
            owner       text NOT NULL,
            epoch       bigint NOT NULL,
            lease_until timestamptz NOT NULL,
            open_since  timestamptz NOT NULL,
            up          boolean NOT NULL,
            PRIMARY KEY (carrier, slot)
        ) WITH (fillfactor = 20)
        """
    )

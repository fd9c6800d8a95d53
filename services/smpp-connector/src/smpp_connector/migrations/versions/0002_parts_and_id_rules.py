"""Parts of handsets' long messages, and the id rules that were learnt."""

from alembic import op
from shared.db.migrate import protect

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Nobody's until dlr-processor has found the tenant: `system`, as the events that come of them.
    op.execute(
        """
        CREATE TABLE inbound_parts (
            carrier       text NOT NULL,
            peer          text NOT NULL,
            reference     integer NOT NULL,
            total         smallint NOT NULL,
            generation    integer NOT NULL,
            part          smallint NOT NULL,
            tenant_id     text NOT NULL,
            digest        text NOT NULL,
            number        bytea NOT NULL,
            recipient     text NOT NULL,
            content       bytea NOT NULL,
            encoding      text,
            shift_single  smallint NOT NULL,
            shift_locking smallint NOT NULL,
            came_at       bigint NOT NULL,
            due_at        bigint NOT NULL,
            told_at       bigint,
            PRIMARY KEY (carrier, peer, reference, total, generation, part)
        )
        """
    )
    op.execute("CREATE INDEX inbound_parts_due ON inbound_parts (carrier, due_at) WHERE told_at IS NULL")
    op.execute("CREATE INDEX inbound_parts_told ON inbound_parts (carrier, told_at) WHERE told_at IS NOT NULL")
    for statement in protect("inbound_parts"):
        op.execute(statement)
    # No tenant's data: how a carrier writes its ids.
    op.execute(
        """
        CREATE TABLE id_rules (
            carrier     text PRIMARY KEY,
            rule        text NOT NULL,
            matched     integer NOT NULL,
            observed    integer NOT NULL,
            proposed_at timestamptz NOT NULL,
            applied_at  timestamptz
        )
        """
    )

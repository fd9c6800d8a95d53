"""The connector's tables. The hot statements are in claims.py, leases.py, inbound_parts.py and id_rules.py."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

metadata = sa.MetaData()

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("message_id", UUID(as_uuid=False), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("carrier", sa.Text, nullable=False),
    sa.Column("slot", sa.SmallInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("claimed_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.Column("outcome", sa.Text),
    sa.Column("cause", sa.Text),
    sa.Column("settled_at", sa.BigInteger),
    sa.Column("about", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.LargeBinary),
)

bind_leases = sa.Table(
    "bind_leases",
    metadata,
    sa.Column("carrier", sa.Text, primary_key=True),
    sa.Column("slot", sa.SmallInteger, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("open_since", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("up", sa.Boolean, nullable=False),
)

inbound_parts = sa.Table(
    "inbound_parts",
    metadata,
    sa.Column("carrier", sa.Text, primary_key=True),
    sa.Column("peer", sa.Text, primary_key=True),
    sa.Column("reference", sa.Integer, primary_key=True),
    sa.Column("total", sa.SmallInteger, primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True),
    sa.Column("part", sa.SmallInteger, primary_key=True),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("number", sa.LargeBinary, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("encoding", sa.Text),
    sa.Column("shift_single", sa.SmallInteger, nullable=False),
    sa.Column("shift_locking", sa.SmallInteger, nullable=False),
    sa.Column("came_at", sa.BigInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("told_at", sa.BigInteger),
)

id_rules = sa.Table(
    "id_rules",
    metadata,
    sa.Column("carrier", sa.Text, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("matched", sa.Integer, nullable=False),
    sa.Column("observed", sa.Integer, nullable=False),
    sa.Column("proposed_at", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("applied_at", sa.TIMESTAMP(timezone=True)),
)

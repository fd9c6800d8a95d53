"""ingest's tables, schema `ingest`. Times are milliseconds since 1970."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("messages_per_s", Integer, comment="limit for each process; null: the default of the settings"),
    Column("created_at", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("tenant_id", Text, nullable=False, index=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("messages_per_s", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False, comment="id of the key that made it; empty: made at the first start"),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("born_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("owner", Text, comment="the process that runs it; null when none does"),
    Column("answer", LargeBinary, comment="null until done"),
    Index("idempotency_expires", "expires_ms"),
)

# Not tenant data: which processes are alive.
replicas = Table(
    "replicas",
    metadata,
    Column("replica_id", Text, primary_key=True),
    Column("lease_until", BigInteger, nullable=False),
)

"""The router's tables. `migrations/` makes them; times are milliseconds UTC, amounts millionths."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()

# One row. Every change of carriers or prices raises the version under this row's lock.
tariff = Table(
    "tariff",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("version", Integer, nullable=False),
)
carriers = Table(
    "carriers",
    metadata,
    Column("carrier", Text, primary_key=True),
    Column("tps", Integer, nullable=False),
    Column("binds", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("list_version", Integer, nullable=False, server_default="0"),  # the version of its imported price list
)
prices = Table(
    "prices",
    metadata,
    Column("carrier", Text, ForeignKey("carriers.carrier", ondelete="CASCADE"), primary_key=True),
    Column("prefix", Text, primary_key=True),
    Column("price_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
)
# Append-only: what a version named in a message's decision meant, and whose key made it.
tariff_changes = Table(
    "tariff_changes",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
deferred = Table(
    "deferred",
    metadata,
    Column("message_id", UUID, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("kind", Text, nullable=False),  # prepared or returned: which event `body` holds
    Column("attempt", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("contact_id", Text, nullable=False),
    Column("campaign_id", Text),
    Column("body", LargeBinary, nullable=False),
)
# Imported price lists. `code`: MCC with or without MNC (kind network), or digits (kind prefix).
list_prices = Table(
    "list_prices",
    metadata,
    Column("carrier", Text, ForeignKey("carriers.carrier", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_until", BigInteger),
    Column("price_micros", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
)
number_ranges = Table(
    "number_ranges",
    metadata,
    Column("prefix", Text, primary_key=True),
    Column("country", Text, nullable=False),
    Column("network", Text, nullable=False),  # MCC and MNC together; empty where none is known
    Column("operator", Text, nullable=False),
)
# Books of rules: routes, windows, senders, limits. Versions are never changed; the last row of the other table holds.
rule_books = Table(
    "rule_books",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
rule_books_in_force = Table(
    "rule_books_in_force",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("serial", BigInteger, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
# One row, raised with every change of a book or of the number plan: replicas look at nothing else until it moves.
rules_changed = Table(
    "rules_changed",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("serial", BigInteger, nullable=False),
)
# What a tenant has used of a limit in a period; `next_us` is when the next message may go at a limited rate.
limit_uses = Table(
    "limit_uses",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("limit_id", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False, server_default="0"),
    Column("cost_micros", BigInteger, nullable=False, server_default="0"),
    Column("next_us", BigInteger, nullable=False, server_default="0"),
    Column("touched_at", BigInteger, nullable=False),
)
# What the segmenter was allowed to release, by tenant and span of ten seconds: whose messages wait is told from it.
credit_grants = Table(
    "credit_grants",
    metadata,
    Column("slot", BigInteger, primary_key=True),
    Column("tenant_id", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False),
)
# Networks of single numbers, imported or bought. The hash is keyed: no number stands here.
ported_numbers = Table(
    "ported_numbers",
    metadata,
    Column("number_hash", Text, primary_key=True),
    Column("network", Text, nullable=False),  # MCC and MNC; empty where the source knew nothing
    Column("source", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

"""The service's tables for SQLAlchemy Core. The migrations make them; what their columns mean stands there."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData()


def _text(*names: str) -> list[Column[str]]:
    return [Column(name, Text) for name in names]


messages = Table(
    "messages",
    metadata,
    Column("message_id", UUID(as_uuid=False), primary_key=True),
    Column("day", Integer, primary_key=True),
    *_text("tenant_id", "status", "reason"),
    Column("version", Integer),
    Column("final", Boolean),
    Column("states", JSONB),
    *_text("purpose", "contact_id", "contact_ref", "number_hash", "campaign_id", "run", "variant", "segment"),
    *_text("country", "network", "carrier", "currency", "client_ref", "callback_url", "sender", "decision", "rules"),
    *_text("drop_detail"),
    Column("attempt", Integer),
    Column("parts", Integer),
    Column("cost_micros", BigInteger),
    Column("deferred_until", BigInteger),
    Column("retried", Integer),
    Column("accepted_at", BigInteger),
    Column("updated_at", BigInteger),
)

parts = Table(
    "parts",
    metadata,
    Column("message_id", UUID(as_uuid=False), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("part", Integer, primary_key=True),
    *_text("tenant_id", "carrier", "outcome", "outcome_reason", "carrier_message_id", "currency", "sender", "network"),
    *_text("number_hash", "decision", "status", "reason", "error_code"),
    Column("command_status", BigInteger),
    Column("price_micros", BigInteger),
    Column("submitted_at", BigInteger),
    Column("done_at", BigInteger),
)

callback_endpoints = Table(
    "callback_endpoints",
    metadata,
    Column("endpoint_id", UUID(as_uuid=False), primary_key=True),
    *_text("tenant_id", "url"),
    Column("events", ARRAY(Text)),
    *_text("shape"),
    Column("batch", Integer),
    Column("secret", LargeBinary),
    Column("previous", LargeBinary),
    Column("previous_until", BigInteger),
    Column("made_at", BigInteger),
)

callback_secrets = Table(
    "callback_secrets",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("secret", LargeBinary),
    Column("previous", LargeBinary),
    Column("previous_until", BigInteger),
    Column("made_at", BigInteger),
)

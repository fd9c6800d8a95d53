"""analytics' tables. `migrations/` makes them; times are milliseconds UTC, amounts millionths."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import UUID

metadata = MetaData()

_PLACE = ("tenant_id", "minute", "campaign_id", "run", "variant", "segment", "purpose", "country", "carrier", "outcome", "reason", "currency")  # fmt: skip


def _place(time: str, primary_key: bool) -> list[Column]:  # type: ignore[type-arg]
    return [
        Column(time if name == "minute" else name, BigInteger if name == "minute" else Text, nullable=False, primary_key=primary_key)
        for name in _PLACE
    ]  # fmt: skip


# The last state of each message: what it contributes now, so that a change can take it back.
message_state = Table(
    "message_state",
    metadata,
    Column("message_id", UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    *_place("minute", False),
    Column("submitted", Boolean, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("submitted_at", BigInteger),
)
rollups = Table(
    "rollups",
    metadata,
    *_place("hour", True),
    Column("messages", BigInteger, nullable=False),
    Column("submitted", BigInteger, nullable=False),
    Column("parts", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
# How far each partition is counted, written in the transaction that counts.
offsets = Table(
    "offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
)

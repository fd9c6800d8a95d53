"""The schema as Alembic compares it; `migrations/` is what makes it. Statements here are raw SQL: batches and locks."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

METADATA = MetaData()
_KEY_KINDS: dict[str, TypeEngine[Any]] = {
    "chunk": Integer(),
    "day": Integer(),
    "version": Integer(),
    "at": BigInteger(),
    "slot": BigInteger(),
}
_KINDS: dict[str, TypeEngine[Any]] = {
    "text": Text(), "int": Integer(), "bigint": BigInteger(), "jsonb": JSONB(), "bytea": LargeBinary(), "numeric": Numeric(), "boolean": Boolean(), "smallint": SmallInteger(),
    "text[]": ARRAY(Text()), "bigint[]": ARRAY(BigInteger()),
}  # fmt: skip


def _table(table: str, key: str, /, **columns: str) -> Table:
    keys = key.split()
    made = [Column(k, _KEY_KINDS.get(k, Text()), primary_key=True) for k in keys]
    for column, kind in columns.items():
        base = kind.removesuffix("?")
        made.append(Column(column, _KINDS[base], nullable=kind.endswith("?")))
    return Table(table, METADATA, *made)


CONTACTS = _table(
    "contacts", "tenant_id ref", contact_id="text", number_hash="text", number="bytea", number_problem="text?",
    country="text", prefix="text", number_zone="text?", locale="text?", time_zone="text?", attributes="jsonb",
    created_at="bigint", updated_at="bigint",
)  # fmt: skip
CONSENT_LEDGER = _table(
    "consent_ledger", "tenant_id entry_id", contact_ref="text", purpose="text", state="text", source="text",
    proof="text?", at="bigint", recorded_at="bigint", recorded_by="text", wording="text?",
)  # fmt: skip
CONSENT_STATE = _table(
    "consent_state", "tenant_id contact_ref", contact_id="text?", number_hash="text?", version="bigint", purposes="jsonb",
    updated_at="bigint",
)  # fmt: skip
SUPPRESSIONS = _table(
    "suppressions", "tenant_id contact_id", number_hash="text", contact_ref="text?", reason="text", source="text", at="bigint",
)  # fmt: skip
SEGMENTS = _table("segments", "tenant_id id", name="text", filter="jsonb", version="int", updated_at="bigint")
TEMPLATES = _table("templates", "tenant_id id", version="int", updated_at="bigint")
TEMPLATE_VERSIONS = _table(
    "template_versions", "tenant_id id version", name="text", purpose="text", bodies="jsonb", default_locale="text",
    created_at="bigint",
)  # fmt: skip
CAMPAIGNS = _table(
    "campaigns", "tenant_id id", name="text", segment="text", template="text", purpose="text", sender="text?",
    validity_s="int", state="text", version="bigint", run="text?", runs="int", created_at="bigint", updated_at="bigint",
    variants="jsonb", holdout="int", schedule="jsonb?", launch_at="bigint?", edited_by="text?", approved_by="text?",
    approved_at="bigint?", approved_cost="numeric?", optimise="jsonb?",
    quiet_days="int?",
)  # fmt: skip
RUNS = _table(
    "runs", "tenant_id campaign_id run", state="text", born_at="bigint", segment="text", segment_version="int",
    filter="jsonb", template="text", template_version="int", purpose="text", sender="text?", validity_s="int",
    audience="int", chunks="int", chunks_done="int", prepared="int", held="int", dropped="jsonb", ended_at="bigint?", variants="jsonb",
    holdout="int", optimise="jsonb?", decide_at="bigint?", split="jsonb?", split_at="bigint?",
)  # fmt: skip
CHUNKS = _table(
    "chunks", "tenant_id campaign_id run chunk", refs="text[]", state="text", released_at="bigint?", done_at="bigint?",
    due_at="bigint", split="jsonb?", born_at="bigint?",
)  # fmt: skip
LATER_MESSAGES = _table(
    "later_messages", "tenant_id message_id", lane="text", wake_at="bigint", message="bytea", contact_id="text?"
)
EVENTS_SEEN = _table("events_seen", "tenant_id event_id", seen_day="int")
EVENT_DAYS = _table(
    "event_days", "tenant_id contact_ref name day currency", count="int", sum_micros="numeric", last_at="bigint",
)  # fmt: skip
CAP_RULES = _table("cap_rules", "tenant_id purpose", per_day="int", per_week="int", version="int", updated_at="bigint")
CAP_CLAIMS = _table(
    "cap_claims", "tenant_id contact_id purpose", ids="text[]", ats="bigint[]", per_day="int", per_week="int",
)  # fmt: skip
TENANT_RULES = _table(
    "tenant_rules", "tenant_id kind", body="jsonb", version="int", updated_at="bigint", updated_by="text",
)  # fmt: skip
ERASURES = _table("erasures", "tenant_id contact_ref at", contact_id="text", erased="jsonb", erased_by="text")
ATTRIBUTE_KINDS = _table("attribute_kinds", "tenant_id name", kind="text", pinned="boolean", updated_at="bigint")
HELD_MESSAGES = _table(
    "held_messages", "tenant_id message_id", campaign_id="text?", run="text?", contact_id="text", contact_ref="text?",
    purpose="text", country="text", rule="text", features="text", fingerprint="text", held_at="bigint", not_after="bigint",
    message="bytea", decision="text?", decided_by="text?", decided_at="bigint?",
)  # fmt: skip
HELD_DECISIONS = _table(
    "held_decisions", "tenant_id", id="bigint", at="bigint", decision="text", decided_by="text", campaign_id="text?",
    run="text?", rule="text?", message_ids="text[]?", messages="int",
)  # fmt: skip
SENT_TEXTS = _table(
    "sent_texts", "tenant_id contact_id", fingerprints="text[]", ids="text[]", ats="bigint[]",
)  # fmt: skip
TRAFFIC_SLOTS = _table("traffic_slots", "tenant_id rule prefix slot", count="int")
COUPONS = _table("coupons", "tenant_id pool code", claimed_by="text?", claimed_at="bigint?")
FEEDS = _table("feeds", "tenant_id id", version="int", items="jsonb", updated_at="bigint")
DOUBLE_OPT_INS = _table(
    "double_opt_ins", "tenant_id id", contact_ref="text", contact_id="text", purpose="text", method="text", code_hash="text?",
    source="text", proof="text", message_id="text", wording="text", state="text", tries="int", created_at="bigint", expires_at="bigint",
    ended_at="bigint?",
)  # fmt: skip
GLOBAL_SUPPRESSIONS = _table("global_suppressions", "number_hash", reason="text", source="text", at="bigint")
CAMPAIGN_MARKS = _table(
    "campaign_marks", "tenant_id campaign_id contact_ref", recipient="bigint", sent_at="bigint", delivered_at="bigint?",
    clicked_at="bigint?",
)  # fmt: skip
RFM = _table("rfm", "tenant_id contact_ref", r="smallint", f="smallint", m="smallint", **{"class": "text"})
RFM_DAYS = _table("rfm_days", "tenant_id", day="int", people="int")
LISTS = _table(
    "lists", "tenant_id id", name="text", segment="text?", segment_version="int?", filter="jsonb?", size="int", made_at="bigint",
    updated_at="bigint",
)  # fmt: skip
LIST_MEMBERS = _table("list_members", "tenant_id list_id contact_ref")

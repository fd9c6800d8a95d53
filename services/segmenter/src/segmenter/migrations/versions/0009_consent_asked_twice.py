"""Double opt-ins that wait for their answer, and numbers that no tenant may write marketing to."""

from alembic import op
from shared.db.migrate import protect

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    "ALTER TABLE consent_ledger ADD COLUMN wording text",  # what the person was shown
    """CREATE TABLE double_opt_ins (
       tenant_id text NOT NULL, id text NOT NULL,
       contact_ref text NOT NULL, contact_id text NOT NULL, purpose text NOT NULL,
       method text NOT NULL CHECK (method IN ('keyword', 'code')),
       code_hash text,                     -- keyed; null for a keyword
       source text NOT NULL, proof text NOT NULL,
       message_id text NOT NULL, wording text NOT NULL, state text NOT NULL CHECK (state IN ('pending', 'confirmed', 'refused')),
       tries int NOT NULL, created_at bigint NOT NULL, expires_at bigint NOT NULL, ended_at bigint,
       PRIMARY KEY (tenant_id, id))""",
    *protect("double_opt_ins"),
    "CREATE INDEX double_opt_ins_waiting ON double_opt_ins (tenant_id, contact_id) WHERE state = 'pending'",
    # No tenant's: an operator's list of complaints, dead numbers and do-not-call registers, as keyed hashes.
    """CREATE TABLE global_suppressions (
       number_hash text PRIMARY KEY, reason text NOT NULL, source text NOT NULL, at bigint NOT NULL)""",
    "CREATE INDEX consent_of_number_anywhere ON consent_state (number_hash) WHERE number_hash IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

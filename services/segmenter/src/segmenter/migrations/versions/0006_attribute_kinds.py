"""What kind of value each attribute holds, learnt or pinned."""

from alembic import op
from shared.db.migrate import EVERYONE, TENANT_SETTING, protect

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    """CREATE TABLE attribute_kinds (
       tenant_id text NOT NULL, name text NOT NULL, kind text NOT NULL, pinned boolean NOT NULL,
       updated_at bigint NOT NULL,
       PRIMARY KEY (tenant_id, name))""",
    *protect("attribute_kinds"),
    f"SELECT set_config('{TENANT_SETTING}', '{EVERYONE}', true)",
    # Contacts that are there already have taught what they can.
    """INSERT INTO attribute_kinds
       SELECT tenant_id, name, CASE WHEN count(DISTINCT kind) > 1 THEN 'mixed' ELSE min(kind) END, false, 0
       FROM (SELECT tenant_id, name, CASE jsonb_typeof(value) WHEN 'string' THEN 'text' WHEN 'array' THEN 'list'
               WHEN 'object' THEN CASE WHEN value ?& ARRAY['lat', 'lon'] THEN 'point' ELSE 'object' END
               ELSE jsonb_typeof(value) END AS kind
             FROM contacts, jsonb_each(attributes) AS held (name, value) WHERE value <> 'null') AS held
       GROUP BY tenant_id, name""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

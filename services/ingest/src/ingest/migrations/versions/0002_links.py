"""Short links, and whose each domain is."""

from alembic import op
from shared.db.migrate import protect
from shared.db.roles import OWNER
from shared.links.codes import LARGEST_LINK

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    f"""CREATE TABLE links (
        number bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE {LARGEST_LINK}) PRIMARY KEY,
        tenant_id text NOT NULL,
        link_id text NOT NULL,
        campaign_id text,
        target text NOT NULL,
        ios text,
        android text,
        fallback text,
        expires_at bigint,
        domain text,
        utm jsonb NOT NULL,
        deleted boolean NOT NULL DEFAULT false,
        version integer NOT NULL DEFAULT 1,
        created_at bigint NOT NULL,
        changed_at bigint NOT NULL,
        UNIQUE (tenant_id, link_id)
    )""",
    "CREATE INDEX links_changed ON links (changed_at)",
    # A host name is its first tenant's. Who else holds it is not for a tenant to see, so the owner's function decides.
    "CREATE TABLE link_domains (domain text PRIMARY KEY, tenant_id text NOT NULL)",
    *protect("links"),
    *protect("link_domains"),
    f"CREATE POLICY owner_claims_domains ON link_domains TO {OWNER} USING (true) WITH CHECK (true)",
    """
    CREATE FUNCTION claim_domain(wanted text, tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ingest, pg_temp
    AS $$
    BEGIN
        IF tenant IS DISTINCT FROM current_setting('relais.tenants', true) THEN
            RAISE EXCEPTION 'a domain is claimed for the transaction''s own tenant';
        END IF;
        INSERT INTO link_domains VALUES (wanted, tenant) ON CONFLICT DO NOTHING;
        IF NOT EXISTS (SELECT FROM link_domains d WHERE d.domain = wanted AND d.tenant_id = tenant) THEN
            RAISE EXCEPTION 'the domain is another tenant''s';
        END IF;
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION claim_domain(text, text) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION claim_domain(text, text) TO relais_ingest",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

"""Counters by the hour, the course of a campaign by the minute, and what people did summed up as it happens.

Reports read nothing else: what they take does not grow with the number of messages.
"""

from alembic import op
from shared.db.migrate import protect

revision = "0003"
down_revision = "0002"

DIMENSIONS = """
    hour bigint NOT NULL,
    run text NOT NULL,
    variant text NOT NULL,
    segment text NOT NULL,
    country text NOT NULL,
    carrier text NOT NULL,
    held_out boolean NOT NULL,
"""
_PLACE = "campaign_id, run, variant, segment, purpose, country, carrier, outcome, reason, currency"
_OF_MESSAGE = (
    "coalesce(m.minute - m.minute % 3600000, 0), coalesce(m.run, ''), coalesce(m.variant, ''), coalesce(m.segment, ''), "
    "coalesce(m.country, ''), coalesce(m.carrier, ''), coalesce(m.reason = 'holdout', false)"
)

STATEMENTS = (
    "SELECT set_config('relais.tenants', '*', true)",  # the rows of every tenant are summed up
    """CREATE TABLE campaign_minutes (
        tenant_id text NOT NULL,
        campaign_id text NOT NULL,
        run text NOT NULL,
        minute bigint NOT NULL,
        outcome text NOT NULL,
        messages bigint NOT NULL,
        PRIMARY KEY (tenant_id, campaign_id, minute, run, outcome)
    ) WITH (fillfactor = 50)""",
    "CREATE INDEX campaign_minutes_minute ON campaign_minutes (minute)",
    "INSERT INTO campaign_minutes SELECT tenant_id, campaign_id, run, minute, outcome, sum(messages) FROM rollups "
    "WHERE campaign_id <> '' GROUP BY 1, 2, 3, 4, 5 HAVING sum(messages) <> 0",
    "CREATE TEMPORARY TABLE by_hour AS SELECT * FROM rollups",
    "TRUNCATE rollups",
    "ALTER TABLE rollups RENAME minute TO hour",
    f"INSERT INTO rollups (tenant_id, hour, {_PLACE}, messages, submitted, parts, cost_micros, changed_at) "
    f"SELECT tenant_id, minute - minute % 3600000, {_PLACE}, sum(messages), sum(submitted), sum(parts), sum(cost_micros), "
    f"max(changed_at) FROM by_hour GROUP BY tenant_id, 2, {_PLACE}",
    "DROP TABLE by_hour",
    "CREATE INDEX rollups_hour ON rollups (tenant_id, hour) WHERE campaign_id <> ''",
    # Whose message answered in which way, with the place under which that is counted.
    f"""CREATE TABLE responded (
        tenant_id text NOT NULL,
        message_id uuid NOT NULL,
        kind text NOT NULL,
        campaign_id text NOT NULL,
        {DIMENSIONS}
        PRIMARY KEY (tenant_id, message_id, kind)
    )""",
    "CREATE INDEX responded_hour ON responded (hour)",
    f"""CREATE TABLE response_rollups (
        tenant_id text NOT NULL,
        campaign_id text NOT NULL,
        model text NOT NULL,
        currency text NOT NULL,
        {DIMENSIONS}
        clickers bigint NOT NULL,
        clicks bigint NOT NULL,
        machine_clicks bigint NOT NULL,
        repliers bigint NOT NULL,
        replies bigint NOT NULL,
        clicked_and_replied bigint NOT NULL,
        opted_out bigint NOT NULL,
        opt_outs bigint NOT NULL,
        converted bigint NOT NULL,
        shares_micros bigint NOT NULL,
        value_micros bigint NOT NULL,
        changed_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, campaign_id, model, hour, run, variant, segment, country, carrier, held_out, currency)
    ) WITH (fillfactor = 50)""",
    "CREATE INDEX response_rollups_hour ON response_rollups (tenant_id, hour) WHERE campaign_id <> ''",
    """CREATE TABLE link_rollups (
        tenant_id text NOT NULL,
        campaign_id text NOT NULL,
        link_id text NOT NULL,
        clickers bigint NOT NULL,
        clicks bigint NOT NULL,
        machine_clicks bigint NOT NULL,
        last_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, campaign_id, link_id)
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE replies (
        event_id text NOT NULL,
        tenant_id text NOT NULL,
        message_id uuid NOT NULL,
        at bigint NOT NULL,
        keyword text NOT NULL,
        counted boolean NOT NULL,
        PRIMARY KEY (tenant_id, event_id)
    )""",
    "CREATE INDEX replies_waiting ON replies (at) WHERE NOT counted",
    "CREATE INDEX replies_at ON replies (at)",
    # Shares keep the place under which they are counted, so that they can be taken back there.
    *(
        f"ALTER TABLE attributions ADD {column} NOT NULL DEFAULT {default}"
        for column, default in (
            ("hour bigint", "0"), ("run text", "''"), ("variant text", "''"), ("segment text", "''"), ("country text", "''"),
            ("carrier text", "''"), ("held_out boolean", "false"),
        )
    ),
    "UPDATE attributions a SET (hour, run, variant, segment, country, carrier, held_out) = "
    "(m.minute - m.minute % 3600000, m.run, m.variant, m.segment, m.country, m.carrier, false) "
    "FROM message_state m WHERE m.message_id = a.message_id",
    # What was counted so far, summed up once.
    f"INSERT INTO responded SELECT DISTINCT ON (c.tenant_id, c.message_id) c.tenant_id, c.message_id, 'click', c.campaign_id, {_OF_MESSAGE} "
    "FROM clicks c LEFT JOIN message_state m USING (message_id) WHERE c.human AND c.message_id IS NOT NULL",
    f"INSERT INTO responded SELECT DISTINCT ON (o.tenant_id, o.message_id) o.tenant_id, o.message_id, 'opt_out', o.campaign_id, {_OF_MESSAGE} "
    "FROM opt_outs o LEFT JOIN message_state m USING (message_id) WHERE o.message_id IS NOT NULL",
    "INSERT INTO response_rollups SELECT tenant_id, campaign_id, '', '', hour, run, variant, segment, country, carrier, held_out, "
    "count(*) FILTER (WHERE kind = 'click'), 0, 0, 0, 0, 0, count(*) FILTER (WHERE kind = 'opt_out'), 0, 0, 0, 0, 0 "
    "FROM responded GROUP BY 1, 2, 5, 6, 7, 8, 9, 10, 11",
    f"INSERT INTO response_rollups AS r SELECT c.tenant_id, c.campaign_id, '', '', {_OF_MESSAGE}, 0, count(*) FILTER (WHERE c.human), "
    "count(*) FILTER (WHERE NOT c.human), 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM clicks c LEFT JOIN message_state m USING (message_id) "
    "GROUP BY 1, 2, 5, 6, 7, 8, 9, 10, 11 "
    "ON CONFLICT (tenant_id, campaign_id, model, hour, run, variant, segment, country, carrier, held_out, currency) DO UPDATE SET "
    "clicks = excluded.clicks, machine_clicks = excluded.machine_clicks",
    f"INSERT INTO response_rollups AS r SELECT o.tenant_id, o.campaign_id, '', '', {_OF_MESSAGE}, 0, 0, 0, 0, 0, 0, 0, count(*), 0, 0, 0, 0 "
    "FROM opt_outs o LEFT JOIN message_state m USING (message_id) GROUP BY 1, 2, 5, 6, 7, 8, 9, 10, 11 "
    "ON CONFLICT (tenant_id, campaign_id, model, hour, run, variant, segment, country, carrier, held_out, currency) DO UPDATE SET "
    "opt_outs = excluded.opt_outs",
    "INSERT INTO response_rollups SELECT tenant_id, campaign_id, model, currency, hour, run, variant, segment, country, carrier, held_out, "
    "0, 0, 0, 0, 0, 0, 0, 0, 0, sum(share_micros), sum(value_micros), 0 FROM attributions GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    "INSERT INTO link_rollups SELECT tenant_id, campaign_id, link_id, 0, count(*) FILTER (WHERE human), "
    "count(*) FILTER (WHERE NOT human), max(at) FROM clicks GROUP BY 1, 2, 3",
    *(
        statement
        for table in ("campaign_minutes", "responded", "response_rollups", "link_rollups", "replies")
        for statement in protect(table)
    ),
)  # fmt: skip


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)

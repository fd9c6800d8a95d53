"""What `make warehouse` prints."""

from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

_TABLES = (
    ("Campaigns", "SELECT tenant_id, campaign_id, variant, accepted, dropped, delivered, failed, clicked, opted_out, cost, currency "
     "FROM marts.campaign_performance ORDER BY accepted DESC LIMIT 12"),
    ("Carriers", "SELECT carrier, country, submitted, delivered, failed, round(delivery_rate, 4) AS delivery_rate, "
     "round(median_delay_s, 2) AS median_delay_s, round(p95_delay_s, 2) AS p95_delay_s FROM marts.carrier_quality ORDER BY submitted DESC LIMIT 12"),
    ("Reconciliation by tenant and hour", "SELECT tenant_id, hour, accepted, delivered, failed, expired, dropped, unknown, open, difference "
     "FROM marts.reconciliation ORDER BY hour DESC, tenant_id LIMIT 12"),
)  # fmt: skip


def show(database: Path, added: dict[str, int]) -> None:
    console = Console()
    console.print(f"landed {sum(added.values())} records in {sum(1 for rows in added.values() if rows)} tables")
    with duckdb.connect(str(database), read_only=True) as duck:
        for title, query in _TABLES:
            found = duck.execute(query)
            table = Table(*(column[0] for column in found.description or ()), title=title)
            for row in found.fetchall():
                table.add_row(*("" if value is None else str(value) for value in row))
            console.print(table)

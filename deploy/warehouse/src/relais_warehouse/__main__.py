"""`python -m relais_warehouse land | run | reconcile | export | connect-tables | connect-count`; see the README."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb

from relais_warehouse import connect
from relais_warehouse.contracts import contracts
from relais_warehouse.duck import make_views
from relais_warehouse.reconcile import differences, from_ledger, from_simulators, from_topics
from relais_warehouse.report import show
from relais_warehouse.sink import Decoder, land, local_catalog

HERE = Path(__file__).parents[2]
CHECKOUT = HERE.parents[1]


def addresses(run: Path) -> tuple[str, str]:
    """Kafka and the registry: from the environment, else of the stack that `make up` or `make run` started."""
    ports = json.loads((run / "ports.json").read_text()) if (run / "ports.json").exists() else {}
    kafka = os.environ.get("RELAIS_KAFKA_BOOTSTRAP") or (f"127.0.0.1:{ports['kafka']}" if ports else "")
    registry = os.environ.get("RELAIS_REGISTRY_URL") or (
        f"http://127.0.0.1:{ports['registry']}/apis/ccompat/v7" if ports else ""
    )
    if not kafka or not registry:
        raise SystemExit(
            "no stack is known: start one with `make up`, or set RELAIS_KAFKA_BOOTSTRAP and RELAIS_REGISTRY_URL"
        )
    return kafka, registry


def land_all(home: Path, kafka: str, registry: str) -> dict[str, int]:
    catalog, wanted = local_catalog(home), contracts()
    added = asyncio.run(land(kafka, Decoder(registry), catalog, wanted))
    make_views(home / "relais.duckdb", catalog, wanted)
    return added


def dbt(home: Path, *arguments: str) -> int:
    project = HERE / "dbt"
    environment = {
        **os.environ, "RELAIS_DUCKDB": str(home / "relais.duckdb"), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }  # fmt: skip
    command = [
        str(Path(sys.executable).with_name("dbt")), *arguments, "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(home / "dbt-target"), "--log-path", str(home / "dbt-logs"), "--quiet",
    ]  # fmt: skip
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own arguments


def main() -> int:
    parser = argparse.ArgumentParser(prog="relais_warehouse", description=__doc__)
    parser.add_argument("command", choices=("land", "run", "reconcile", "export", "connect-tables", "connect-count"))
    parser.add_argument("--home", type=Path, default=CHECKOUT / ".run" / "warehouse")
    parser.add_argument("--ledger", help="also compare with the ledger behind this PostgreSQL URL")
    parser.add_argument(
        "--simulator", action="append", default=[], help="also ask this simulated carrier: id=control address"
    )
    parser.add_argument("--table", default="sms_message_status", help="of connect-count")
    asked = parser.parse_args()
    if asked.command == "connect-tables":
        sys.stdout.write("\n".join(connect.make_tables(connect.catalog(), contracts())) + "\n")
        return 0
    if asked.command == "connect-count":
        sys.stdout.write(json.dumps(connect.landed(connect.catalog(), asked.table)) + "\n")
        return 0
    asked.home.mkdir(parents=True, exist_ok=True)
    database = asked.home / "relais.duckdb"
    if asked.command == "export":
        return export(database, asked.home / "export")
    added = land_all(asked.home, *addresses(CHECKOUT / ".run"))
    if asked.command == "land":
        sys.stdout.write(f"landed {sum(added.values())} records\n")
        return 0
    failed = dbt(asked.home, "build")
    if asked.command == "run":
        show(database, added)
        return failed
    counts, wrong = from_topics(database)
    if asked.ledger:
        wrong += differences(counts, from_ledger(asked.ledger))
    wrong += from_simulators(database, asked.simulator)
    for sentence in wrong:
        sys.stderr.write(sentence + "\n")
    total = {name: sum(row[name] for row in counts.values()) for name in next(iter(counts.values()), {})}
    sys.stdout.write(json.dumps({"hours": len(counts), **total, "differences": len(wrong)}) + "\n")
    return 1 if wrong or failed else 0


def export(database: Path, folder: Path) -> int:
    """Every mart as Parquet and CSV."""
    folder.mkdir(exist_ok=True)
    with duckdb.connect(str(database), read_only=True) as duck:
        for (name,) in duck.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts'"
        ).fetchall():
            duck.execute(f"COPY marts.{name} TO '{folder}/{name}.parquet' (FORMAT parquet)")
            duck.execute(f"COPY marts.{name} TO '{folder}/{name}.csv' (HEADER)")
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

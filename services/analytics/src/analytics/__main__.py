"""`python -m analytics` counts and reports, `... quality` runs the carriers' windows, `... migrate` brings tables up."""

import sys
from pathlib import Path

from shared.clock import now_ms
from shared.contracts.topics import STATUS
from shared.crypto.tokens import Tokens
from shared.db.database import Database
from shared.db.migrate import migrate
from shared.db.outbox import OutboxPump
from shared.errors import SettingError
from shared.kafka.shell import KafkaShell
from shared.service import Service
from shared.settings import load

from analytics.adapters.http import make_routes
from analytics.adapters.report_store import ReportStore
from analytics.adapters.response_store import ResponseStore
from analytics.adapters.rollup_store import RollupStore
from analytics.handlers import CountStatuses
from analytics.responses import TOPICS, CountResponses
from analytics.settings import Settings
from analytics.upkeep import DAY_MS, Upkeep

LINGER_MS = 400  # reports are live within two seconds; a message's states that meet in one batch count as one
GATHER_MS = 300
SHARE = 1500


def make_service(settings: Settings) -> Service:
    root = Service(settings, title="Relais analytics", description="What became of messages, and what they cost.")
    database = Database(settings.database_url.get_secret_value(), "analytics")
    root.starts(database.open, database.close)
    shell = KafkaShell(root, "analytics")
    store = RollupStore(database)
    pump = OutboxPump(database, shell.publisher, "analytics")
    handler = CountStatuses(store, shell.publisher, pump.wake, now_ms, keep_ms=settings.keep_days * DAY_MS)
    shell.consume("analytics", [STATUS.name], handler, linger_ms=LINGER_MS, gather_ms=GATHER_MS, share=SHARE)
    responses = ResponseStore(database)
    answers = CountResponses(responses, shell.publisher, pump.wake, root.metrics, now_ms)
    shell.consume("analytics.responses", list(TOPICS), answers, linger_ms=LINGER_MS)
    upkeep = Upkeep(responses, shell.publisher, pump.wake, now_ms, keep_days=settings.keep_days)
    root.task("outbox", pump.run)
    root.task("upkeep", upkeep.run)
    tokens = Tokens(settings.internal_secret.get_secret_value())
    root.app.include_router(make_routes(tokens, ReportStore(database), responses, now_ms))
    return root


def make_quality(settings: Settings) -> Service:
    from analytics.quality.windows import QualityWindows  # Faust is slow to import, and only this process needs it

    root = Service(settings, title="Relais analytics, quality", description="How well each carrier delivers now.")
    shell = KafkaShell(root, "analytics")
    windows = QualityWindows(
        settings.kafka_bootstrap, settings.state_dir, shell.publisher, shell.schemas, root.metrics, now_ms
    )
    root.task("windows", windows.run, windows.stop)
    root.ready_when("windows", lambda: windows.ready)
    return root


def main() -> None:
    match sys.argv[1:]:
        case []:
            make_service(load(Settings)).run()
        case ["quality"]:
            make_quality(load(Settings)).run()
        case ["migrate"]:
            try:
                migrate(Path(__file__).parent, "analytics")
            except SettingError as error:
                raise SystemExit(str(error)) from None
        case _:
            raise SystemExit("usage: python -m analytics [quality | migrate]")


if __name__ == "__main__":
    main()

"""`python -m router` runs the service, `python -m router migrate` brings its tables up."""

import sys
from pathlib import Path

from shared.clock import now_ms
from shared.contracts.topics import CAMPAIGN, CONSENT, HEALTH, QUALITY, Lane, prepared, returned
from shared.crypto.tokens import Tokens
from shared.db.database import Database
from shared.db.migrate import migrate
from shared.errors import SettingError
from shared.kafka.shell import KafkaShell
from shared.service import Service
from shared.settings import load

from router.adapters.backlog import Backlog
from router.adapters.carriers_store import CarriersStore
from router.adapters.deferred_store import DeferredStore
from router.adapters.http import make_routes
from router.adapters.http_books import make_books_routes
from router.adapters.http_imports import make_import_routes
from router.adapters.replay import PreparedLog
from router.adapters.rules_store import RulesStore
from router.counts import DecisionCounts
from router.data.seed import seed_ranges
from router.handlers import RouteMessages
from router.picture import Picture
from router.settings import Settings
from router.waiting import Waiting, WaitingGauge

# A batch holds the event loop while it is decided, so it must stay short for the other lane's sake.
BATCH = {Lane.NOW: 200, Lane.BULK: 500}


def make_service(settings: Settings) -> Service:
    root = Service(settings, title="Relais router", description="Which carrier, when, and why.")
    database = Database(settings.database_url.get_secret_value(), "router")
    carriers = CarriersStore(database, settings.carriers)
    rules = RulesStore(database, seed_ranges())
    store = DeferredStore(database)
    picture = Picture(carriers, rules, round(settings.comeback_s * 1000))
    counts = DecisionCounts(root.metrics)
    gauge = WaitingGauge(store, root.metrics)
    backlog = Backlog(settings.kafka_bootstrap, settings.carriers)

    root.starts(database.open, database.close)
    root.starts(carriers.open)
    root.starts(rules.open)
    shell = KafkaShell(root, "router", carriers=settings.carriers)
    kept_as = [topic(lane).name for topic in (prepared, returned) for lane in Lane]

    async def know_what_is_kept() -> None:
        await shell.schemas.load_topics(kept_as)

    root.starts(know_what_is_kept)  # kept records are written as they came, in those topics' schemas
    picture.follow(
        consent=shell.follow("consent", [CONSENT.name], picture.apply_consent),
        campaigns=shell.follow("campaigns", [CAMPAIGN.name], picture.apply_campaigns),
        health=shell.follow("health", [HEALTH.name], picture.health.apply),
    )
    shell.follow("quality", [QUALITY.name], picture.health.apply_quality)
    for lane in Lane:
        handler = RouteMessages(lane, picture, store, shell.publisher, counts, now_ms)
        shell.consume(f"router.{lane}", [prepared(lane).name, returned(lane).name], handler, max_records=BATCH[lane])
    waiting = Waiting(picture, store, shell.publisher, shell.schemas, counts, now_ms)
    root.task("tariff", carriers.run)
    root.task("rules", rules.run)
    root.task("waiting", waiting.run)
    root.task("waiting gauge", gauge.run)
    root.task("backlog", backlog.run)
    tokens = Tokens(settings.internal_secret.get_secret_value())
    root.app.include_router(make_books_routes(tokens, carriers, rules))
    root.app.include_router(make_import_routes(tokens, carriers, rules, now_ms))
    log = PreparedLog(settings.kafka_bootstrap, shell.schemas)
    routes = make_routes(tokens, carriers, picture, backlog, lambda: gauge.for_a_carrier, log, now_ms)
    root.app.include_router(routes)
    root.ready_when("tariff", lambda: carriers.tariff.version >= 0)
    return root


def main() -> None:
    if sys.argv[1:] == ["migrate"]:
        try:
            migrate(Path(__file__).parent, "router")
        except SettingError as error:
            raise SystemExit(str(error)) from None
        return
    make_service(load(Settings)).run()


if __name__ == "__main__":
    main()

"""`python -m router` runs the service, `python -m router migrate` brings its tables up."""

import sys
from pathlib import Path

from shared.clock import now_ms
from shared.contracts.topics import CAMPAIGN, CONSENT, HEALTH, QUALITY, Lane, prepared, returned
from shared.crypto.ids import NumberIndex
from shared.crypto.tokens import Tokens
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.late_pool import LatePool
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
from router.adapters.http_limits import make_limits_routes
from router.adapters.http_portability import make_portability_routes
from router.adapters.limits_store import LimitsStore
from router.adapters.portability_enum import EnumPortability
from router.adapters.portability_http import HttpPortability
from router.adapters.portability_store import PortabilityStore
from router.adapters.replay import PreparedLog
from router.adapters.rules_store import RulesStore
from router.counts import DecisionCounts
from router.data.seed import seed_ranges
from router.deciding import Deciding
from router.domain.portability import PortabilitySource
from router.handlers import RouteMessages
from router.limiting import Limiting
from router.picture import Picture
from router.portability import Portability
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
    limits = LimitsStore(database, now_ms)
    picture = Picture(carriers, rules, round(settings.comeback_s * 1000))
    counts = DecisionCounts(root.metrics)
    gauge = WaitingGauge(store, root.metrics)
    backlog = Backlog(settings.kafka_bootstrap, settings.carriers)

    root.starts(database.open, database.close)
    root.starts(carriers.open)
    root.starts(rules.open)
    ported = PortabilityStore(database)
    portability = make_portability(settings, root, database, ported)
    deciding = Deciding(picture, portability, Limiting(limits))
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
        handler = RouteMessages(lane, picture, store, shell.publisher, deciding, counts, now_ms)
        shell.consume(f"router.{lane}", [prepared(lane).name, returned(lane).name], handler, max_records=BATCH[lane])
    waiting = Waiting(picture, store, shell.publisher, shell.schemas, deciding, counts, now_ms)
    root.task("tariff", carriers.run)
    root.task("rules", rules.run)
    root.task("waiting", waiting.run)
    root.task("warm", picture.warm)
    root.task("waiting gauge", gauge.run)
    root.task("limits", limits.run)
    root.task("portability", portability.run)
    root.task("backlog", backlog.run)
    tokens = Tokens(settings.internal_secret.get_secret_value())
    root.app.include_router(make_books_routes(tokens, carriers, rules))
    root.app.include_router(make_import_routes(tokens, carriers, rules, now_ms))
    root.app.include_router(make_portability_routes(tokens, ported, NumberIndex(settings.master), now_ms))
    root.app.include_router(make_limits_routes(tokens, picture, backlog, gauge, limits, now_ms))
    log = PreparedLog(settings.kafka_bootstrap, shell.schemas)
    routes = make_routes(tokens, carriers, picture, log, portability.known_network, now_ms)
    root.app.include_router(routes)
    root.ready_when("tariff", lambda: carriers.tariff.version >= 0)
    return root


def make_portability(settings: Settings, root: Service, database: Database, store: PortabilityStore) -> Portability:
    sources: list[PortabilitySource] = []
    if settings.portability_url is not None:
        key = settings.portability_key
        http = HttpPortability(settings.portability_url, key.get_secret_value() if key else None)
        root.starts(http.open, http.close)
        sources.append(http)
    if settings.portability_enum_zone is not None:
        sources.append(EnumPortability(settings.portability_enum_zone, settings.portability_enum_servers))
    return Portability(
        store, sources, frozenset(settings.portability_countries), round(settings.portability_kept_h * 3_600_000),
        Vault(LatePool(database), settings.master), NumberIndex(settings.master), root.metrics, now_ms,
    )  # fmt: skip


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

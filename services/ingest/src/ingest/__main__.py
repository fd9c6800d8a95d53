"""The composition root: `python -m ingest` runs the service, `python -m ingest migrate` its migrations."""

import sys
from pathlib import Path

from shared.clock import now_ms
from shared.crypto.tokens import Tokens
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.migrate import migrate
from shared.errors import SettingError
from shared.kafka.shell import KafkaShell
from shared.links.codes import LinkCodes
from shared.service import Service
from shared.settings import load, stop

from ingest.adapters.authenticator import Authenticator
from ingest.adapters.click_log import ClickLog
from ingest.adapters.forwarder import Forwarder
from ingest.adapters.http import administration, links, messages, preferences
from ingest.adapters.http.documents import DESCRIPTION
from ingest.adapters.http.door import Door
from ingest.adapters.http.forwarding import add_forwarding
from ingest.adapters.http.gate import Gate, Latch
from ingest.adapters.http.hot_road import Endpoint, HotRoad, endpoints_of
from ingest.adapters.http.link_road import Edge, LinkRoad
from ingest.adapters.http.measure import Measure
from ingest.adapters.http.openapi import OpenApi, add_openapi
from ingest.adapters.idempotency_store import IdempotencyStore
from ingest.adapters.key_store import KeyStore, NewKey
from ingest.adapters.limits import Limits
from ingest.adapters.link_store import LinksInMemory, LinkStore
from ingest.domain.api_key import digest_of, parse_key
from ingest.handlers import Intake
from ingest.settings import Settings


def main() -> None:
    settings = load(Settings)
    root = Service(settings, title="Relais", description=DESCRIPTION)
    database = Database(settings.database_url.get_secret_value(), "ingest")
    root.starts(database.open, database.close)
    kafka = KafkaShell(root, "ingest")
    tokens = Tokens(settings.internal_secret.get_secret_value())
    forwarder = Forwarder(
        settings.owners, tokens, now_ms,
        upload_bytes=settings.upload_limit_bytes, uploads_at_once=settings.uploads_at_once,
    )  # fmt: skip
    root.starts(forwarder.open, forwarder.close)
    keys = KeyStore(database)
    rows = IdempotencyStore(database, now_ms)
    door = Door(
        Authenticator(keys, now_ms),
        Limits(settings.rate_tenant_per_s, settings.rate_key_per_s),
        settings.master,
        now_ms,
    )

    link_store = LinkStore(database, now_ms)
    known_links = LinksInMemory(link_store)
    codes = LinkCodes(settings.master)
    clicks = ClickLog(kafka.publisher, root.metrics)
    root.starts(known_links.refresh, clicks.close)
    root.task("follow links", known_links.follow)
    root.task("publish clicks", clicks.run)

    latch = Latch()
    endpoints: dict[tuple[str, str], Endpoint] = {}

    async def assemble() -> None:
        """What needs the open pools: the routes come last, so that no request meets half a service."""
        intake = Intake(
            rows, kafka.publisher, Vault(database.pool, settings.master), settings.master, root.metrics, now_ms,
            patience_s=settings.patience_s,
        )  # fmt: skip
        await first_keys(keys, settings)
        await rows.beat()
        root.task("stay alive", intake.keep_alive)
        hot = messages.make_routes(door, intake, loopback=settings.callbacks_allow_loopback)
        endpoints.update(endpoints_of(hot.routes))
        root.app.include_router(hot)
        root.app.include_router(administration.make_routes(door, keys))
        root.app.include_router(links.make_routes(door, link_store, known_links, codes, settings.links_base))
        root.app.include_router(preferences.make_routes(forwarder))
        add_openapi(root.app, OpenApi(root.app, forwarder))
        add_forwarding(root.app, door, forwarder)
        latch.is_open = True

    root.starts(assemble)
    root.app.add_middleware(HotRoad, owner=root.app, endpoints=endpoints)
    root.app.add_middleware(LinkRoad, edge=Edge(codes, known_links, clicks, now_ms))
    root.app.add_middleware(Measure, metrics=root.metrics, tracer=root.tracer, ratio=settings.trace_ratio)
    root.app.add_middleware(Gate, latch=latch)
    root.ready_when("assembled", lambda: latch.is_open)
    root.run()


async def first_keys(keys: KeyStore, settings: Settings) -> None:
    """The tenants and all-scope keys that the settings name, where they are missing."""
    for tenant, secret in settings.bootstrap_keys.items():
        parsed = parse_key(secret.get_secret_value())
        assert parsed is not None
        first = NewKey(parsed[0], digest_of(parsed[1]), "bootstrap", ("*",), None, None, "")
        await keys.ensure(tenant, first, now_ms())


if __name__ == "__main__":
    if sys.argv[1:] == ["migrate"]:
        try:
            migrate(Path(__file__).parent, "ingest")
        except SettingError as error:
            sys.stderr.write(f"{error}\n")
            stop()
    else:
        main()

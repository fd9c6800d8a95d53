"""The segmenter's composition root: everything it is made of is joined here.

`python -m segmenter` runs the service, `python -m segmenter migrate` brings its tables up.
"""

import sys
from pathlib import Path

from shared.clock import now_ms
from shared.contracts.topics import CHUNK, CLICKED, DROPPED, STATUS, TRACKED, Lane, accepted
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.tokens import Tokens
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.late_pool import LatePool
from shared.db.migrate import migrate
from shared.db.outbox import OutboxPump
from shared.kafka.shell import KafkaShell
from shared.links.codes import LinkCodes
from shared.service import Service
from shared.settings import load

from segmenter.adapters.answers import AnswerBook
from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.catalog import Templates
from segmenter.adapters.consent_store import ConsentStore
from segmenter.adapters.contact_store import ContactStore
from segmenter.adapters.content_rule_store import ContentRuleStore
from segmenter.adapters.coupon_store import CouponStore
from segmenter.adapters.credit import Credit
from segmenter.adapters.erasure import Erasure
from segmenter.adapters.feed_store import FeedStore
from segmenter.adapters.held_store import HeldStore
from segmenter.adapters.later_store import LaterStore
from segmenter.adapters.notices import Notices
from segmenter.adapters.opt_outs import OptOuts
from segmenter.adapters.prices import Prices
from segmenter.adapters.retention import RetentionJob
from segmenter.adapters.suppression_store import SuppressionStore
from segmenter.adapters.traffic_store import TrafficStore
from segmenter.adapters.windows import Windows
from segmenter.domain.fingerprint import Fingerprints
from segmenter.domain.page_codes import PageCodes
from segmenter.domain.variants import Splitter
from segmenter.handlers.content_checks import ContentChecks
from segmenter.handlers.count_events import CountEvents
from segmenter.handlers.expand_chunks import ExpandChunks
from segmenter.handlers.give_back import GiveBack
from segmenter.handlers.note_campaigns import NoteCampaigns
from segmenter.handlers.prepare_accepted import PrepareAccepted
from segmenter.handlers.records import Decided
from segmenter.handlers.settle_held import SettleHeld
from segmenter.handlers.start_scheduled import StartScheduled
from segmenter.handlers.wake_later import WakeLater
from segmenter.http.attributes import make_attribute_routes
from segmenter.http.campaigns import make_campaign_routes
from segmenter.http.consents import make_consent_routes
from segmenter.http.contacts import make_contact_routes
from segmenter.http.coupons import make_coupon_routes
from segmenter.http.double_opt_in import make_double_opt_in_routes
from segmenter.http.estimate import make_estimate_routes
from segmenter.http.held import make_held_routes
from segmenter.http.lists import make_list_routes
from segmenter.http.parts import Parts
from segmenter.http.preferences import make_preference_routes
from segmenter.http.rules import make_rule_routes
from segmenter.http.segments import make_segment_routes
from segmenter.http.suppressions import make_suppression_routes
from segmenter.http.templates import make_template_routes
from segmenter.settings import Settings
from segmenter.upkeep import Upkeep

NAME = "segmenter"
CHUNKS_AT_ONCE = 4  # 2,000 messages between two commits


def build(settings: Settings) -> Service:
    """The whole service, not yet running."""
    root = Service(settings, title="Relais segmenter", description="Who receives what text.")
    db = Database(settings.database_url.get_secret_value(), NAME, pool_size=10)
    root.starts(db.open, db.close)
    shell = KafkaShell(root, NAME)
    pump = OutboxPump(db, shell.publisher, NAME)
    root.task("outbox", pump.run)

    tokens = Tokens(settings.internal_secret.get_secret_value())
    credit = Credit(settings.router_url, tokens, now_ms)
    root.starts(credit.open, credit.close)
    prices = Prices(settings.router_url, tokens, now_ms)
    root.starts(prices.open, prices.close)
    answers, windows = AnswerBook(settings.analytics_url, tokens, now_ms), Windows(settings.router_url, tokens, now_ms)
    for part in (answers, windows):
        root.starts(part.open, part.close)
    consents, at_rest = ConsentStore(shell.publisher), AtRest(settings.master)
    contacts = ContactStore(shell.publisher, consents)
    pages = PageCodes(settings.master)
    notices = Notices(
        Vault(LatePool(db), settings.master),
        shell.publisher,
        MessageIds(settings.master),
        Fingerprints(settings.master),
    )
    parts = Parts(
        db=db, pump=pump, tokens=tokens, clock=now_ms, at_rest=at_rest, index=NumberIndex(settings.master),
        consents=consents, contacts=contacts, suppressions=SuppressionStore(consents),
        opt_outs=OptOuts(consents, notices), campaigns=CampaignStore(shell.publisher), templates=Templates(), prices=prices,
        caps=CapStore(), splitter=Splitter(settings.master),
        erasure=Erasure(shell.publisher, contacts, LaterStore(at_rest), HeldStore(at_rest)), held=HeldStore(at_rest),
        content=ContentRuleStore(), coupons=CouponStore(), feeds=FeedStore(), credit=credit, windows=windows,
        notices=notices, pages=pages, master=settings.master,
    )  # fmt: skip
    for make_routes in (
        make_contact_routes, make_consent_routes, make_suppression_routes, make_segment_routes, make_template_routes,
        make_campaign_routes, make_estimate_routes, make_rule_routes, make_attribute_routes, make_held_routes, make_coupon_routes,
        make_double_opt_in_routes, make_preference_routes, make_list_routes,
    ):  # fmt: skip
        root.app.include_router(make_routes(parts))
    _consume(settings, root, shell, parts, credit, windows)
    upkeep = Upkeep(
        db, parts.campaigns, parts.caps, TrafficStore(), pump, RetentionJob(db, parts.erasure), at_rest, now_ms
    )
    root.task("upkeep", upkeep.run)
    root.task("schedule", StartScheduled(db, parts.campaigns, answers, pump, now_ms).run)
    return root


def _consume(
    settings: Settings, root: Service, shell: KafkaShell, parts: Parts, credit: Credit, windows: Windows
) -> None:
    decided = Decided(shell.publisher, root.metrics, LinkCodes(settings.master), parts.pages)
    fingerprints = Fingerprints(settings.master)
    vault = Vault(LatePool(parts.db), settings.master)
    later = LaterStore(parts.at_rest)
    content = ContentChecks(parts.db, parts.content, TrafficStore(), parts.held)
    for lane in Lane:
        asked = credit if lane is Lane.BULK else None
        prepare = PrepareAccepted(
            parts.db, vault, decided, parts.templates, later, fingerprints, now_ms, asked, parts.caps, content
        )
        shell.consume(f"{NAME}-{lane}", [accepted(lane).name], prepare, max_records=1000)
        root.task(f"wake later {lane}", WakeLater(parts.db, vault, later, prepare, lane, asked, now_ms).run)
    expand = ExpandChunks(
        parts.db, vault, decided, parts.campaigns, parts.templates, parts.at_rest, MessageIds(settings.master), Splitter(settings.master),
        fingerprints, credit, parts.pump, now_ms, parts.caps, content,
        windows, parts.coupons, parts.feeds,
    )  # fmt: skip
    settle = SettleHeld(parts.db, vault, parts.held, decided, parts.campaigns, parts.caps, credit, now_ms)
    root.task("settle held", settle.run)
    shell.consume(f"{NAME}-chunks", [CHUNK.name], expand, max_records=CHUNKS_AT_ONCE)
    shell.consume(f"{NAME}-events", [TRACKED.name], CountEvents(parts.db, now_ms), linger_ms=250)
    shell.consume(f"{NAME}-give-back", [DROPPED.name], GiveBack(parts.db, parts.caps), linger_ms=250)
    shell.consume(f"{NAME}-marks", [STATUS.name, CLICKED.name], NoteCampaigns(parts.db), linger_ms=500)


def main() -> None:
    if sys.argv[1:] == ["migrate"]:
        migrate(Path(__file__).parent, NAME)
        return
    build(load(Settings)).run()


if __name__ == "__main__":
    main()

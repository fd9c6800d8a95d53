"""What the routes are given: made once, in the composition root."""

from dataclasses import dataclass, field

from shared.clock import Clock
from shared.crypto.ids import NumberIndex
from shared.crypto.tokens import Tokens
from shared.db.database import Database
from shared.db.outbox import OutboxPump

from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.catalog import Templates
from segmenter.adapters.consent_store import ConsentStore, Number
from segmenter.adapters.contact_store import ContactStore
from segmenter.adapters.content_rule_store import ContentRuleStore
from segmenter.adapters.coupon_store import CouponStore
from segmenter.adapters.credit import Credit
from segmenter.adapters.erasure import Erasure
from segmenter.adapters.feed_store import FeedStore
from segmenter.adapters.held_store import HeldStore
from segmenter.adapters.notices import Notices
from segmenter.adapters.opt_outs import OptOuts
from segmenter.adapters.prices import Prices
from segmenter.adapters.suppression_store import SuppressionStore
from segmenter.adapters.windows import Windows
from segmenter.domain.page_codes import PageCodes
from segmenter.domain.variants import Splitter


@dataclass(frozen=True)
class Parts:
    db: Database
    pump: OutboxPump
    tokens: Tokens
    clock: Clock
    at_rest: AtRest
    index: NumberIndex
    consents: ConsentStore
    contacts: ContactStore
    suppressions: SuppressionStore
    opt_outs: OptOuts
    campaigns: CampaignStore
    templates: Templates
    prices: Prices
    caps: CapStore
    splitter: Splitter
    erasure: Erasure
    held: HeldStore
    content: ContentRuleStore
    coupons: CouponStore
    feeds: FeedStore
    credit: Credit
    windows: Windows
    notices: Notices
    pages: PageCodes
    master: bytes = field(repr=False)

    def number(self, tenant: str, e164: str) -> Number:
        return Number(self.index.contact_id(tenant, e164), self.index.number_hash(e164))

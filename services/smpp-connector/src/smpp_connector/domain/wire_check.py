"""The last look at a message before it is claimed: may it still go, now?"""

from msgspec import Struct
from shared.contracts.events import SubmitRequested

from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.claim_rules import Outcome
from smpp_connector.domain.consent import OptOuts

HOLD_MOST_S = 5.0


class Stopped(Struct, frozen=True, gc=False):
    """It is settled without being written: dropped or returned, with the catalogue reason."""

    outcome: Outcome
    reason: str


class NotYet(Struct, frozen=True, gc=False):
    """Its window opens in so many seconds; looked at again by then."""

    pause_s: float


def wire_check(
    request: SubmitRequested, now_ms: int, opt_outs: OptOuts, campaigns: Campaigns
) -> Stopped | NotYet | None:
    """None: write it. Consent is that of now: a STOP that came after preparation counts."""
    if now_ms >= request.not_after:
        return Stopped(Outcome.DROPPED, "window_missed")
    if request.campaign_id is not None:
        state = campaigns.state(request.tenant_id, request.campaign_id)
        if state == "cancelled":
            return Stopped(Outcome.DROPPED, "cancelled")
        if state == "paused":
            return Stopped(Outcome.RETURNED, "campaign_paused")
    if request.purpose == "marketing" and opt_outs.is_out(request.contact_id, request.number_hash):
        return Stopped(Outcome.DROPPED, "opted_out")
    if request.not_before is not None and now_ms < request.not_before:
        return NotYet(min(HOLD_MOST_S, (request.not_before - now_ms) / 1000))
    return None

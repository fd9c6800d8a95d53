"""May this message go, when, and by whom: every rule of the router in the order in which it counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contracts.events import MessagePrepared, MessageReturned
from shared.contracts.topics import Lane, lane_of

from router.domain.campaigns import Campaigns
from router.domain.choose_carrier import PASSING, CarrierChoice, Decision, Defer, Drop, Nobody, Send, draws_of
from router.domain.number_plan import EMPTY_PLAN, NumberPlan
from router.domain.opt_outs import OptOuts
from router.domain.routes import Ask
from router.domain.senders import NO_SENDERS, Ruling, Senders
from router.domain.windows import NO_WINDOWS, Windows, known_zone

Message = MessagePrepared | MessageReturned

KEPT_MS = 24 * 3_600_000  # promise 6: the router keeps a message no longer; what goes later waits in segmenter
MAX_ATTEMPTS = 3
MOST_SUBMISSIONS = 10  # those that a pause held back included: nothing goes round for ever
RETRY_MS = {Lane.NOW: 500, Lane.BULK: 2_000}
LONGEST_RETRY_MS = {Lane.NOW: 2_000, Lane.BULK: 15_000}
PAUSE_PATIENCE_MS = 1_000  # a connector heard of the pause before we did, or we of its end before the connector

# Causes that no other carrier cures, as reasons of the catalogue.
FORBIDDEN = {
    "invalid_number": "invalid_number",
    "opted_out": "opted_out",
    "suppressed": "suppressed",
    "cancelled": "cancelled",
    "window_missed": "window_missed",
}
# After one of these the handset may have the message: only a one-time code may be sent again, once (promise 3).
MAY_BE_THERE = frozenset({"no_answer", "no_receipt", "lost_by_carrier", "unknown"})
# What to call it when every carrier has failed for this cause; `no_route` for all others.
EXHAUSTED = {"invalid_sender": "sender_not_allowed", "blocked_by_carrier": "blocked", "invalid_encoding": "unencodable"}
_WHY_MISSED = {
    "no_healthy_carrier": "all carriers were down until its time was over",
    "carrier_busy": "the carriers that it may use kept refusing it until its time was over",
    "campaign_paused": "its campaign stayed paused until its time was over",
    "quiet_hours": "its send window did not open before its time was over",
}


@dataclass(frozen=True, slots=True)
class Waited:
    """What is known of a message that was kept: since when (ms) and the last reason."""

    since: int
    reason: str


@dataclass(frozen=True, slots=True)
class History:
    """What was tried: the attempt that comes now, the carriers that failed, the last cause."""

    attempt: int
    tried: tuple[str, ...]
    cause: str | None


def history_of(message: Message) -> History:
    if isinstance(message, MessagePrepared):
        return History(1, (), None)
    tried = tuple(message.tried)
    if message.cause == "campaign_paused" and tried and tried[-1] == message.carrier:
        tried = tried[:-1]  # it was held back, not refused: that carrier has not failed it
    return History(message.attempt + 1, tried, message.cause)


def tried_with(history: History, carrier: str) -> list[str]:
    """What travels with a submission to `carrier`.

    A connector adds itself to the tried ones once, when it returns the message. Sent there again, the carrier is
    added beforehand, so that the list's length counts the tries.
    """
    return [*history.tried, carrier] if carrier in history.tried else list(history.tried)


@dataclass(frozen=True, slots=True)
class Decider:
    """Everything that is known at one moment (`now`, ms UTC)."""

    now: int
    choice: CarrierChoice
    campaigns: Campaigns
    opt_outs: OptOuts
    plan: NumberPlan = EMPTY_PLAN
    windows: Windows = NO_WINDOWS
    senders: Senders = NO_SENDERS
    ported: Mapping[str, str] = field(default_factory=dict)  # of numbers that have moved: hash to MCC and MNC

    def decide(self, message: Message, waited: Waited | None = None) -> Decision:
        refused = self._refused(message, waited)
        if refused is not None:
            return refused
        history = history_of(message)
        since = waited.since if waited else self.now
        if message.campaign_id is not None:
            if self.campaigns.state(message.tenant_id, message.campaign_id) == "paused":
                return Defer(None, "campaign_paused")
            if history.cause == "campaign_paused" and waited is None:
                return Defer(self.now + PAUSE_PATIENCE_MS, "campaign_paused")
        if message.not_before is not None and message.not_before > self.now:
            if message.not_before >= since + KEPT_MS:
                return Drop("window_missed", "it may not go within 24 hours; what goes later must wait in segmenter")
            return Defer(message.not_before, "send_at")
        opens, shuts = self.windows.opening(
            message.country, message.purpose, message.tenant_id, known_zone(message.time_zone), self.now
        )
        if opens > self.now:
            return self._until_it_opens(opens, message, since)
        ruling = self.senders.rule(message.tenant_id, message.country, message.sender, self.now, message.contact_id)
        if ruling.refused:
            return Drop("sender_not_allowed", f"the sender is refused: {ruling.refused}")
        found = self._by_whom(message, history, waited, since, ruling)
        if isinstance(found, Send) and ruling.sender != message.sender:
            why = f" sender={'replaced' if ruling.replaced else 'default'} senders={self.senders.version}"
            found = replace(found, sender=ruling.sender, decision=found.decision + why)
        if isinstance(found, Send) and shuts is not None and shuts < message.not_after:
            return replace(found, not_after=shuts)
        return found

    @property
    def versions(self) -> str:
        """Of everything that decided, for those who ask why."""
        told = f"prices={self.choice.tariff.version}"
        books = (
            ("routes", self.choice.routes.version),
            ("windows", self.windows.version),
            ("senders", self.senders.version),
        )
        return " ".join([told, *(f"{name}={version}" for name, version in books if version)])

    def ask(self, message: Message, sender: str | None) -> Ask:
        """What the rules and prices may look at."""
        return Ask(
            message.prefix, message.purpose, message.tenant_id, message.country,
            self.ported.get(message.number_hash) or self.plan.network_of(message.prefix), sender, message.campaign_id,
            message.encoding, str(message.parts),
        )  # fmt: skip

    def _until_it_opens(self, opens: int, message: Message, since: int) -> Decision:
        if opens >= message.not_after:
            return Drop("window_missed", "its send window does not open before its time is over")
        if opens >= since + KEPT_MS:
            return Drop("window_missed", "its send window does not open within 24 hours")
        return Defer(opens, "quiet_hours")

    def _refused(self, message: Message, waited: Waited | None) -> Drop | None:
        campaign = message.campaign_id
        if campaign is not None and self.campaigns.state(message.tenant_id, campaign) == "cancelled":
            return Drop("cancelled", "its campaign was cancelled")
        if message.purpose == "marketing":
            ref = message.contact_ref if isinstance(message, MessagePrepared) else None
            if self.opt_outs.is_out(message.tenant_id, message.contact_id, ref):
                return Drop("opted_out", "the recipient has opted out since it was prepared")
        if message.not_after <= self.now:
            return Drop("window_missed", _WHY_MISSED.get(waited.reason if waited else "", "its time was over"))
        if waited is not None and self.now >= waited.since + KEPT_MS:
            why = _WHY_MISSED.get(waited.reason, "it waited")
            return Drop("window_missed", f"{why}; it was kept for 24 hours, the longest that is allowed")
        return None

    def _by_whom(
        self, message: Message, history: History, waited: Waited | None, since: int, ruling: Ruling
    ) -> Decision:
        cause = history.cause
        if cause in FORBIDDEN:
            return Drop(FORBIDDEN[cause], f"attempt {history.attempt - 1} ended: {cause}")
        if cause in MAY_BE_THERE and (message.purpose != "otp" or history.attempt > 2):
            return Drop(
                "no_route",
                f"attempt {history.attempt - 1} ended: {cause}; a receipt may still come, so it is not repeated",
            )
        passing = cause is None or cause in PASSING
        if len(history.tried) >= MAX_ATTEMPTS or history.attempt > MOST_SUBMISSIONS:
            return self._given_up(history)
        draws = draws_of(message.contact_id, message.message_id)
        # Only the one that failed last, and for a passing trouble: of the others nobody knows here that theirs was one.
        again = message.carrier if passing and waited is not None and isinstance(message, MessageReturned) else None
        found = self.choice.choose(self.ask(message, ruling.sender), history.tried, again=again, draws=draws)
        if isinstance(found, Send):
            return found
        match found:
            case Nobody("no_price"):
                return Drop("no_route", f"no carrier in use has a price for it: {found.decision}")
            case Nobody("no_rule"):
                return Drop("no_route", f"{found.decision}")
            case Nobody("no_sender"):
                return Drop("sender_not_allowed", f"no carrier may send from it there: {found.decision}")
            case Nobody("carrier_busy" | "exhausted") if not passing:
                return self._given_up(history)
            case Nobody("carrier_busy"):
                return self._later("carrier_busy", message, since)
        return self._later("no_healthy_carrier", message, since)

    def _later(self, reason: str, message: Message, since: int) -> Defer:
        """The longer it has waited the less often it is looked at: a long outage must not cost a core."""
        lane = lane_of(message.purpose)
        pause = max(RETRY_MS[lane], min((self.now - since) // 4, LONGEST_RETRY_MS[lane]))
        return Defer(min(self.now + pause, message.not_after), reason)

    def _given_up(self, history: History) -> Drop:
        cause = history.cause or ""
        return Drop(
            EXHAUSTED.get(cause, "no_route"),
            f"attempt {history.attempt - 1} ended: {cause}; tried {', '.join(history.tried)}",
        )


def due_at(until: int | None, message: Message, since: int) -> int:
    """When a kept message is looked at: at `until`, and in any case when its time or ours is over."""
    end = min(message.not_after, since + KEPT_MS)
    return end if until is None else min(until, end)

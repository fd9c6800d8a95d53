"""The catalogue of reasons: whether one passes by itself, whose fault it is, and what to do.

Every reason that a status, an attempt or a part may carry is here: the carriers' (`reasons.py`), the stages' own for
dropping a message, and the ledger's for those it gave up.
"""

from enum import StrEnum

from msgspec import Struct

from shared.carriers.reasons import Reason


class Fault(StrEnum):
    RECIPIENT = "recipient"
    SENDER = "sender"  # the tenant: its text, its sender, its audience, its timing
    CARRIER = "carrier"
    OPERATOR = "operator"  # whoever runs this installation: accounts, prices, routes
    NOBODY = "nobody"  # a rule did what it is for


class Entry(Struct, frozen=True):
    reason: str
    temporary: bool
    """The same message may succeed later."""
    fault: Fault
    advice: str
    another_way: bool = False
    """Another attempt, perhaps by another carrier, may succeed now: a retry policy may name it."""
    spoils_number: bool = False
    """Says that the number itself is of no use: number hygiene counts it."""


_ENTRIES = (
    Entry(Reason.INVALID_NUMBER, False, Fault.RECIPIENT, "Remove or correct the number.", spoils_number=True),
    Entry(Reason.INVALID_SENDER, False, Fault.OPERATOR, "Register the sender with the carrier, or use another one.", True),
    Entry(Reason.INVALID_MESSAGE, False, Fault.SENDER, "Shorten or change the text."),
    Entry(Reason.INVALID_VALIDITY, False, Fault.SENDER, "Ask for a shorter or a later validity."),
    Entry(Reason.INVALID_ENCODING, False, Fault.SENDER, "Use characters that the carrier takes.", True),
    Entry(Reason.OPTION_REFUSED, False, Fault.OPERATOR, "Correct the carrier's profile: it sends an option this carrier refuses.", True),
    Entry(Reason.BLOCKED_BY_CARRIER, False, Fault.SENDER, "Ask the carrier which list the number, sender or text is on.", True),
    Entry(Reason.REJECTED_BY_CARRIER, False, Fault.CARRIER, "Ask the carrier; its own code is with the part.", True),
    Entry(Reason.NOT_AUTHORISED, False, Fault.OPERATOR, "Have the carrier enable this service for the account.", True),
    Entry(Reason.CREDIT_EXHAUSTED, True, Fault.OPERATOR, "Top up the account at the carrier.", True),
    Entry(Reason.THROTTLED, True, Fault.OPERATOR, "Lower the rate, or buy more of it.", True),
    Entry(Reason.SESSION_ERROR, True, Fault.OPERATOR, "Look at the bind: its credentials or state are refused.", True),
    Entry(Reason.CARRIER_ERROR, True, Fault.CARRIER, "Nothing, if it passes; otherwise ask the carrier.", True),
    Entry(Reason.EXPIRED, True, Fault.RECIPIENT, "Send again later: mostly a handset switched off.", True),
    Entry(Reason.UNDELIVERABLE, True, Fault.RECIPIENT, "Send again later; after several times take the number for dead.", True),
    Entry(Reason.DELETED_BY_CARRIER, False, Fault.CARRIER, "Ask the carrier why it removed the message.", True),
    Entry(Reason.LOST_BY_CARRIER, True, Fault.CARRIER, "Ask the carrier; the handset may have the message."),
    Entry("carrier_down", True, Fault.CARRIER, "Nothing: it goes by another carrier or waits.", True),
    Entry("no_answer", True, Fault.CARRIER, "The carrier never answered; the handset may have the message."),
    Entry("no_receipt", True, Fault.CARRIER, "The carrier took it and never said more; the handset may have the message."),
    Entry("no_consent", False, Fault.SENDER, "Record a grant before sending marketing."),
    Entry("opted_out", False, Fault.NOBODY, "Send no marketing to this person."),
    Entry("suppressed", False, Fault.NOBODY, "Lift the suppression if it is mistaken."),
    Entry("frequency_cap", True, Fault.NOBODY, "Send later, or raise the cap."),
    Entry("duplicate", False, Fault.SENDER, "Nothing: the number has the message of another entry."),
    Entry("blocked", False, Fault.SENDER, "Change the text: a content rule or every carrier refuses it."),
    Entry("render_failed", False, Fault.SENDER, "Give the template every variable it names, or a default."),
    Entry("unencodable", False, Fault.SENDER, "Remove characters that no carrier takes."),
    Entry("budget_exceeded", True, Fault.SENDER, "Raise the budget."),
    Entry("sender_not_allowed", False, Fault.SENDER, "Use a sender that is registered for the country."),
    Entry("no_route", True, Fault.OPERATOR, "Add a carrier or a price for this destination; the detail tells what was tried."),
    Entry("window_missed", True, Fault.NOBODY, "Send in a wider window or with a longer validity."),
    Entry("cancelled", False, Fault.SENDER, "Nothing: its campaign was cancelled."),
    Entry("quiet_hours", True, Fault.NOBODY, "Nothing: it goes when the window opens."),
    Entry("send_at", True, Fault.NOBODY, "Nothing: it goes at the time asked for."),
    Entry("campaign_paused", True, Fault.NOBODY, "Resume the campaign."),
    Entry("no_healthy_carrier", True, Fault.CARRIER, "Nothing: it goes when a carrier is up."),
    Entry("rate_limited", True, Fault.NOBODY, "Nothing: it goes when its turn comes. Raise the limit to have it sooner."),
    Entry("carrier_busy", True, Fault.CARRIER, "Nothing: it goes when a carrier takes it."),
)  # fmt: skip
CATALOGUE: dict[str, Entry] = {str(entry.reason): entry for entry in _ENTRIES}


def entry_of(reason: str | None) -> Entry:
    """The entry; of a reason that nobody has explained, a cautious one."""
    found = CATALOGUE.get(reason or "")
    return found or Entry(reason or "unknown", True, Fault.CARRIER, "Ask the carrier; its own code is with the part.")

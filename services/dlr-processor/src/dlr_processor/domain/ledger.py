"""The ledger's values: a message, and the parts of its attempts."""

from msgspec import Struct
from shared.crypto.ids import born_s

from dlr_processor.domain.states import FINAL_WORDS, Reached

DAY_S = 86_400
_FINAL_WORDS = frozenset(FINAL_WORDS.values())


def day_of_message(message_id: str) -> int:
    """Days since 1970 of the message's birth: its partition."""
    return born_s(message_id) // DAY_S


class Message(Struct, gc=False):
    """One row. Times are milliseconds since 1970, amounts millionths of the currency's unit.

    `sender`, `carrier`, `network`, `parts`, `currency` and `decision` are of the attempt with the highest number;
    before the first attempt `parts` is what preparation counted.
    """

    message_id: str
    day: int
    tenant_id: str
    version: int = 0
    status: str = ""
    reason: str | None = None
    final: bool = False
    states: list[Reached] = []
    purpose: str | None = None
    contact_id: str | None = None
    contact_ref: str | None = None
    number_hash: str | None = None
    campaign_id: str | None = None
    run: str | None = None
    variant: str | None = None
    segment: str | None = None
    country: str | None = None
    network: str | None = None
    carrier: str | None = None
    attempt: int = 0
    parts: int = 0
    cost_micros: int = 0
    currency: str | None = None
    client_ref: str | None = None
    callback_url: str | None = None
    sender: str | None = None
    decision: str | None = None
    rules: str | None = None
    drop_detail: str | None = None
    deferred_until: int | None = None
    retried: int = 0
    """The highest attempt whose bad end gave way to another one; negative once nothing came of that."""
    accepted_at: int = 0
    updated_at: int = 0

    @property
    def introduced(self) -> bool:
        """Someone has said whose message it is and who wants to hear of it: acceptance, preparation and a drop do, and
        each tells when it was accepted. A submission or a deferral that comes before them does not."""
        return any(entry.state == "accepted" for entry in self.states)


class Part(Struct, gc=False):
    """One part of one attempt. What the carrier said of the attempt as a whole stands in each of its parts."""

    attempt: int
    part: int
    carrier: str
    outcome: str
    outcome_reason: str | None
    carrier_message_id: str | None
    command_status: int
    price_micros: int
    currency: str
    sender: str
    network: str | None
    number_hash: str
    decision: str
    submitted_at: int
    status: str | None = None
    reason: str | None = None
    error_code: str | None = None
    done_at: int | None = None

    @property
    def final(self) -> bool:
        """The carrier has given its final word in a receipt."""
        return self.status in _FINAL_WORDS

    @property
    def end(self) -> Reached | None:
        """How the part ended, if it has: by a receipt, or because the carrier took the others but not this one."""
        if self.command_status and self.outcome == "submitted":
            return Reached("rejected", self.submitted_at, self.outcome_reason or "rejected_by_carrier")
        if self.status in _FINAL_WORDS:
            return Reached(self.status or "", self.done_at or 0, self.reason)
        return None

    @property
    def taken(self) -> bool:
        """The carrier took it, and will charge for it."""
        if self.command_status:
            return False
        return self.outcome == "submitted" or self.status is not None or self.carrier_message_id is not None

    @property
    def shown(self) -> str:
        """Its state for a person."""
        end = self.end
        return end.state if end is not None else self.status or self.outcome


PartKey = tuple[int, int]  # attempt, part

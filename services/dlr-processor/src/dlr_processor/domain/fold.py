"""All that a batch says about one message, folded into one change of its row.

The order of the topics among each other is not given: a submission may come before its preparation, a receipt before
its submission. Each fold therefore only adds: states to a set, values where none were, and the same records in any
order, any number of times and in any batches leave the same row. Records of one message agree about its campaign,
contact and so on: they all tell of the same message. One exception to "any order": of two contradicting final receipts
for one part the first to arrive counts; the topic's key keeps them in the carrier's order.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from msgspec import Struct
from shared.contracts.events import (
    MessageAccepted,
    MessageDeferred,
    MessageDropped,
    MessagePrepared,
    MessageSubmitted,
    ReceiptReceived,
)
from shared.crypto.ids import born_s
from shared.errors import PoisonError

from dlr_processor.domain.ledger import Message, Part, PartKey, day_of_message
from dlr_processor.domain.odd_receipts import after_the_end
from dlr_processor.domain.retry_policy import Retry
from dlr_processor.domain.states import (
    FINAL,
    FINAL_WORDS,
    OUTCOME_RANK,
    RANK,
    REASON_OF_WORD,
    Reached,
    current,
    in_order,
    reach,
    worst,
)


class MatchedReceipt(Struct, frozen=True, gc=False):
    """A receipt that is known to be about one part."""

    message_id: str
    tenant_id: str
    attempt: int
    part: int
    receipt: ReceiptReceived


class Lost(Struct, frozen=True, gc=False):
    """Nobody will say any more what became of this message."""

    message_id: str
    tenant_id: str
    at: int
    reason: str


Fact = MessageAccepted | MessagePrepared | MessageDeferred | MessageDropped | MessageSubmitted | MatchedReceipt | Lost


class Extent(IntEnum):
    """How much of a message's row changed: the less, the cheaper its write."""

    NOTHING = 0
    PROGRESS = 1  # its states
    ATTEMPT = 2  # and what the last attempt says of it
    ALL = 3


class Change(Struct, gc=False):
    """What a batch did to one message."""

    message: Message
    extent: Extent
    reached: list[Reached] = []
    """States reached, or found to have been reached earlier than thought, oldest first."""
    old_rank: int = 0
    """Rank of the status that was told last."""
    parts: list[Part] = []
    """Parts to write whole: those of submissions."""
    received: list[Part] = []
    """Parts, written before, that a receipt told more about."""
    retry: Retry | None = None
    """Another attempt is due: the router must hear of it in the same transaction."""
    odd: list[str] = []
    """Names of receipts that came after the end of their part."""
    published: bool = False
    """A status record goes out, and callbacks: not before the message was introduced, since a record carries its
    campaign and so on, and only then it is known who is called back. What was held back goes out with it."""

    @property
    def changed(self) -> bool:
        return self.extent is not Extent.NOTHING

    @property
    def forward(self) -> list[Reached]:
        """The states that moved the status on, oldest first."""
        return [entry for entry in self.reached if RANK[entry.state] > self.old_rank]


MayRetry = Callable[[Message, int, str | None], bool]
"""Of a message, the number of the attempt that ended, and why: whether the tenant wants another one, and it can be had."""


class _Fold:
    def __init__(self, message: Message, parts: dict[PartKey, Part], may_retry: MayRetry | None) -> None:
        self.message, self.parts, self.may_retry = message, parts, may_retry
        self.retry: Retry | None = None
        self.retry_is_over = False
        self.odd: list[str] = []
        self.touched: dict[PartKey, Part] = {}
        self.fresh: set[PartKey] = set()
        self.reached: list[Reached] = []
        self.dims = False

    def reach(self, state: str, at: int, reason: str | None) -> None:
        entry = reach(self.message.states, state, at, reason)
        if entry is not None:
            self.reached.append(entry)

    def fill(self, name: str, value: object) -> None:
        if value is not None and getattr(self.message, name) is None:
            setattr(self.message, name, value)
            self.dims = True


def fold(
    message: Message | None,
    parts: dict[PartKey, Part],
    facts: Sequence[Fact],
    now: int,
    may_retry: MayRetry | None = None,
) -> Change:
    """`message` and `parts` as they are stored, and are changed in place. PoisonError for a fact of another tenant."""
    first = facts[0]
    is_new = message is None
    if message is None:
        message_id = first.message_id
        message = Message(
            message_id=message_id,
            day=day_of_message(message_id),
            tenant_id=first.tenant_id,
            states=[],
            accepted_at=born_s(message_id) * 1000,
        )
    work = _Fold(message, parts, may_retry)
    known_before = message.introduced
    old_rank = RANK[message.status] if known_before else 0
    receipts = []
    for fact in facts:
        if fact.tenant_id != message.tenant_id:
            raise PoisonError("a record names another tenant than its message has")
        if type(fact) is MatchedReceipt:
            receipts.append(fact)  # after the submissions that this batch may hold
        else:
            _APPLY[type(fact)](work, fact)
    for matched in receipts:
        _receipt(work, matched)
    attempts_changed = bool(work.touched) and _attempts(work)
    if work.retry_is_over:
        _over(work)
    if is_new or work.dims:
        extent = Extent.ALL
    elif attempts_changed:
        extent = Extent.ATTEMPT
    else:
        extent = Extent.PROGRESS if work.reached else Extent.NOTHING
    change = Change(message, extent, retry=work.retry, odd=work.odd)
    if work.touched:
        change.parts = [part for key, part in work.touched.items() if key in work.fresh]
        change.received = [part for key, part in work.touched.items() if key not in work.fresh]
    if extent is Extent.NOTHING:
        return change
    # A refused attempt may be all that is known so far.
    top = current(message.states) if message.states else Reached("accepted", message.accepted_at, None)
    message.status, message.reason, message.final = top.state, top.reason, top.state in FINAL
    for entry in message.states:
        if entry.state == "accepted":
            message.accepted_at = entry.at
    message.version += 1
    message.updated_at = now
    # Nothing was published before the message was introduced: then all of it is news.
    change.reached = in_order(work.reached if known_before else message.states)
    change.old_rank = old_rank
    change.published = known_before or message.introduced
    return change


def _accepted(work: _Fold, fact: MessageAccepted) -> None:
    work.reach("accepted", fact.occurred_at, None)
    for name in _ACCEPTED_DIMS:
        work.fill(name, getattr(fact, name))


_ACCEPTED_DIMS = ("purpose", "contact_id", "number_hash", "client_ref", "callback_url")


def _prepared(work: _Fold, fact: MessagePrepared) -> None:
    work.reach("accepted", fact.accepted_at, None)
    work.reach("held" if fact.verdict == "hold" else "prepared", fact.occurred_at, None)
    message = work.message
    if message.rules is None:
        message.rules = fact.rules
        work.dims = True
        for name in _PREPARED_DIMS:
            work.fill(name, getattr(fact, name))
    if message.attempt == 0 and message.parts != fact.parts:
        message.parts = fact.parts
        work.dims = True


_PREPARED_DIMS = (
    "purpose", "contact_id", "contact_ref", "number_hash", "campaign_id", "run", "variant", "segment", "country",
    "client_ref", "callback_url",
)  # fmt: skip


def _deferred(work: _Fold, fact: MessageDeferred) -> None:
    work.reach("deferred", fact.occurred_at, fact.reason)
    message = work.message
    if fact.until is not None and (message.deferred_until is None or fact.until > message.deferred_until):
        message.deferred_until = fact.until
        work.dims = True


def _dropped(work: _Fold, fact: MessageDropped) -> None:
    message = work.message
    earliest = min(((s.at, s.reason or "") for s in message.states if s.state == "dropped"), default=None)
    if earliest is None or (fact.occurred_at, fact.reason) < earliest:
        detail = ": ".join(filter(None, (fact.stage, fact.detail)))
        message.drop_detail = f"{detail} ({fact.rules})" if fact.rules else detail
    work.reach("accepted", fact.accepted_at, None)
    if message.retried and fact.stage == "router" and fact.reason in _NO_OTHER_WAY:
        work.retry_is_over = True  # the attempt's own end says more than "no route"
    else:
        work.reach("dropped", fact.occurred_at, fact.reason)
    for name in _DROPPED_DIMS:
        work.fill(name, getattr(fact, name))


_NO_OTHER_WAY = frozenset({"no_route", "sender_not_allowed", "blocked", "unencodable", "window_missed"})
_DROPPED_DIMS = (
    "purpose", "contact_id", "contact_ref", "campaign_id", "run", "variant", "segment", "country", "client_ref",
    "callback_url",
)  # fmt: skip


def _submitted(work: _Fold, fact: MessageSubmitted) -> None:
    work.fill("purpose", fact.purpose)
    work.fill("number_hash", fact.number_hash)
    if fact.outcome not in OUTCOME_RANK:
        raise PoisonError("a submission with an outcome that nobody declared")
    if fact.outcome in ("submitted", "unknown"):
        work.reach("submitted", fact.occurred_at, None)
    told = [(p.part, p.carrier_message_id, p.command_status) for p in fact.parts] or [(1, None, 0)]
    for number, carrier_message_id, command_status in told:
        key = (fact.attempt, number)
        known = work.parts.get(key)
        if known is not None and not _tells_more(fact, known):
            continue
        part = Part(
            attempt=fact.attempt, part=number, carrier=fact.carrier, outcome=fact.outcome, outcome_reason=fact.reason,
            carrier_message_id=carrier_message_id, command_status=command_status, price_micros=fact.price,
            currency=fact.currency, sender=fact.sender, network=fact.network, number_hash=fact.number_hash,
            decision=fact.decision, submitted_at=fact.occurred_at,
        )  # fmt: skip
        if known is not None:
            # A receipt may have found the part while nobody had told its id.
            part.carrier_message_id = carrier_message_id or known.carrier_message_id
            part.status, part.reason, part.error_code = known.status, known.reason, known.error_code
            part.done_at = known.done_at
        work.parts[key] = work.touched[key] = part
        work.fresh.add(key)
    if fact.outcome == "rejected":
        _ended(work, fact.attempt, "rejected", fact.occurred_at, fact.reason)


def _tells_more(fact: MessageSubmitted, known: Part) -> bool:
    rank, top = OUTCOME_RANK[fact.outcome], OUTCOME_RANK[known.outcome]
    return rank > top or (rank == top and fact.occurred_at < known.submitted_at)


def _receipt(work: _Fold, fact: MatchedReceipt) -> None:
    key = (fact.attempt, fact.part)
    part = work.parts.get(key)
    if part is None:
        raise PoisonError("a receipt for a part that the ledger does not have")
    receipt = fact.receipt
    if part.final:
        # A repeat, or a carrier that changed its mind: the first final state counts.
        work.odd.append(after_the_end(part.status, FINAL_WORDS.get(receipt.state) if receipt.final else None))
        return
    state = FINAL_WORDS.get(receipt.state)
    if state is None or not receipt.final:
        # Of those on the way the latest is kept: it is for people, nothing is decided by it.
        if part.done_at is not None and (part.done_at, part.status or "") >= (receipt.occurred_at, receipt.state):
            return
        state, reason = receipt.state, None
    else:
        reason = None if state == "delivered" else receipt.reason or REASON_OF_WORD[receipt.state]
    part.status, part.reason, part.error_code = state, reason, receipt.error_code
    part.done_at = receipt.occurred_at
    if part.carrier_message_id is None:
        part.carrier_message_id = receipt.carrier_message_id
    work.touched[key] = part


def _lost(work: _Fold, fact: Lost) -> None:
    if work.message.retried > 0:
        work.retry_is_over = True
    elif not work.message.final:
        work.reach("unknown", fact.at, fact.reason)


_APPLY: dict[type, Callable[[_Fold, Any], None]] = {
    MessageAccepted: _accepted,
    MessagePrepared: _prepared,
    MessageDeferred: _deferred,
    MessageDropped: _dropped,
    MessageSubmitted: _submitted,
    Lost: _lost,
}


def _attempts(work: _Fold) -> bool:
    """What the message's attempts make of it. True when one of its own values changed."""
    message = work.message
    if len(work.parts) == 1:  # by far the commonest
        [last] = work.parts.values()
        _attempt(work, [last])
        highest, count, cost = last.attempt, 1, last.price_micros if last.taken else 0
    else:
        for attempt in {key[0] for key in work.touched}:
            _attempt(work, [part for key, part in work.parts.items() if key[0] == attempt])
        highest = max(key[0] for key in work.parts)
        count = sum(key[0] == highest for key in work.parts)
        last = min((part for key, part in work.parts.items() if key[0] == highest), key=lambda part: part.part)
        cost = sum(part.price_micros for part in work.parts.values() if part.taken)
    found = (highest, last.carrier, last.network, last.sender, last.decision, last.currency, count, cost)
    before = (
        message.attempt, message.carrier, message.network, message.sender, message.decision, message.currency,
        message.parts, message.cost_micros,
    )  # fmt: skip
    if found == before:
        return False
    (
        message.attempt, message.carrier, message.network, message.sender, message.decision, message.currency,
        message.parts, message.cost_micros,
    ) = found  # fmt: skip
    return True


def _attempt(work: _Fold, parts: list[Part]) -> None:
    known = [end for part in parts if (end := part.end) is not None]
    if len(known) == len(parts):
        state = worst(end.state for end in known)
        reasons = sorted(end.reason or "" for end in known if end.state == state)
        _ended(work, parts[0].attempt, state, max(end.at for end in known), reasons[0] or None)


def _ended(work: _Fold, attempt: int, state: str, at: int, reason: str | None) -> None:
    """An attempt ended so. The message does too, unless another attempt is made or was made of it."""
    message = work.message
    if state != "delivered":
        if attempt <= message.retried:
            return
        if (
            work.may_retry is not None
            and message.retried >= 0
            and not message.final
            and not any(entry.state in FINAL for entry in message.states)
            and attempt == max(key[0] for key in work.parts)
            and not any(part.status == "delivered" for part in work.parts.values())
            and work.may_retry(message, attempt, reason)
        ):
            message.retried, work.dims = attempt, True
            tried = {key[0]: part.carrier for key, part in sorted(work.parts.items())}
            work.retry = Retry(attempt, tried[attempt], reason or "", tuple(tried.values()))
            return
    work.reach(state, at, reason)


def _over(work: _Fold) -> None:
    """Nothing came of another attempt: the ends that were set aside count."""
    message = work.message
    if message.retried > 0:
        message.retried, work.dims = -message.retried, True
    for attempt in sorted({key[0] for key in work.parts}):
        parts = [part for key, part in sorted(work.parts.items()) if key[0] == attempt]
        _attempt(work, parts)
        if parts[0].outcome == "rejected":
            _ended(work, attempt, "rejected", parts[0].submitted_at, parts[0].outcome_reason)

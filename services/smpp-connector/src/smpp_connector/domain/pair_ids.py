"""Which receipts may belong to which response, for learning how a carrier writes its ids.

The number ties them, as long as it has as many receipts as messages; what is not so clear teaches nothing and is let
go. Senders do not help: carriers write ours in their own way. A sample is enough: only so many numbers are looked at at
once. `now` is in seconds of any clock.
"""

from collections import OrderedDict

from msgspec import Struct
from shared.carriers.learn_id_rule import IdRuleLearner, ReceiptIds

MOST_NUMBERS = 2000
PATIENCE_S = 300.0  # receipts that come later than this after the number was written to are not waited for


class _Seen(Struct):
    since: float
    expected: int
    responses: list[str]
    receipts: dict[ReceiptIds, None]


class PairIds:
    """Feeds a learner. Memory: ids of at most `MOST_NUMBERS` numbers."""

    def __init__(self, learner: IdRuleLearner) -> None:
        self._learner = learner
        self._seen: OrderedDict[str, _Seen] = OrderedDict()  # oldest first

    def written(self, number_hash: str, parts: int, now: float) -> None:
        """So many parts go to the carrier. A number is only followed from here: a receipt of an earlier message must not
        count for a later one."""
        seen = self._seen.get(number_hash)
        if seen is not None:
            seen.expected += parts
            return
        while self._seen and next(iter(self._seen.values())).since < now - PATIENCE_S:
            self._seen.popitem(last=False)
        if len(self._seen) < MOST_NUMBERS:
            self._seen[number_hash] = _Seen(now, parts, [], {})

    def answered(self, number_hash: str, message_id: str | None) -> None:
        """A part's response; None when the carrier did not take it, or named no id."""
        seen = self._seen.get(number_hash)
        if seen is None:
            return
        if message_id:
            seen.responses.append(message_id)
        else:
            seen.expected -= 1
        self._learn(number_hash, seen)

    def receipt(self, number_hash: str, ids: ReceiptIds) -> None:
        """Repeats of one receipt, and several states of one message, are one."""
        seen = self._seen.get(number_hash)
        if seen is not None and len(seen.receipts) <= seen.expected:
            seen.receipts[ids] = None
            self._learn(number_hash, seen)

    def _learn(self, number_hash: str, seen: _Seen) -> None:
        """Once every message has its response and its receipt: which is whose, the rules have to tell."""
        if len(seen.responses) < seen.expected or len(seen.receipts) < seen.expected:
            return
        if len(seen.receipts) == seen.expected:
            for message_id in seen.responses:
                self._learner.observe(message_id, seen.receipts)
        del self._seen[number_hash]

"""Which rule makes a carrier's two forms of an id equal, learnt from its traffic.

Pure: whoever feeds it pairs a submit_sm_resp with the receipts that came for the same number and sender in due time,
and whoever reads its proposal decides. A rule is proposed only if it told the right receipt from the others for 99 %
of the last 1,000 messages.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import replace
from typing import Final, NamedTuple

from shared.carriers.profile import CarrierProfile, Dialect, IdRule

ENOUGH: Final = 1000
"""Messages observed before anything is proposed, and how many of the last ones count."""
NEEDED_PERCENT: Final = 99


class ReceiptIds(NamedTuple):
    """A receipt's two ids, as written; empty where it has none."""

    text: str = ""
    tlv: str = ""


class Rule(NamedTuple):
    """What a profile would say."""

    name: str
    response_id: IdRule
    receipt_id: IdRule
    receipt_id_from_text: bool

    def applied_to(self, profile: CarrierProfile) -> CarrierProfile:
        return replace(
            profile,
            response_id=self.response_id,
            receipt_id=self.receipt_id,
            receipt_id_from_text=self.receipt_id_from_text,
        )


class Proposal(NamedTuple):
    rule: Rule
    matched: int
    observed: int


_ZEROS: Final = IdRule(strip_zeros=True)
_TO_DECIMAL: Final = IdRule(Dialect.HEX_TO_DECIMAL, strip_zeros=True)
_FORMS: Final = (
    # The plainest first: of two rules that match alike, the earlier one is proposed
    ("verbatim", IdRule(), IdRule()),
    ("any case", IdRule(case="lower"), IdRule(case="lower")),
    ("without leading zeros", _ZEROS, _ZEROS),
    ("any case, without leading zeros", IdRule(strip_zeros=True, case="lower"), IdRule(strip_zeros=True, case="lower")),
    ("response hexadecimal, receipt decimal", _TO_DECIMAL, _ZEROS),
    ("response decimal, receipt hexadecimal", _ZEROS, _TO_DECIMAL),
)
RULES: Final = tuple(
    Rule(f"{name}, id from the {'text' if from_text else 'TLV'}", response, receipt, from_text)
    for name, response, receipt in _FORMS
    for from_text in (False, True)
)


class IdRuleLearner:
    """Observes one carrier. Memory: one number a message, of the last `ENOUGH`; no id is kept."""

    __slots__ = ("_matched", "_outcomes", "rules")

    def __init__(self, rules: Collection[Rule] = RULES) -> None:
        self.rules: Final = tuple(rules)
        self._outcomes: deque[int] = deque()  # a bit a rule
        self._matched = [0] * len(self.rules)

    @property
    def observed(self) -> int:
        return len(self._outcomes)

    def forget(self) -> None:
        """Begins anew."""
        self._outcomes.clear()
        self._matched = [0] * len(self.rules)

    def observe(self, response_id: str, candidates: Collection[ReceiptIds]) -> None:
        """One message: the id it was answered with, and every receipt that may be its own.

        A rule matches when exactly one candidate has the response's id: one that finds several tells nothing apart.
        Without an id, or without candidates, there is nothing to learn, and the message does not count.
        """
        if not response_id.strip("\0 ") or not any(ids.text or ids.tlv for ids in candidates):
            return
        outcome = 0
        for number, rule in enumerate(self.rules):
            wanted = rule.response_id(response_id)
            found = 0
            for ids in candidates:
                raw = (ids.text or ids.tlv) if rule.receipt_id_from_text else (ids.tlv or ids.text)
                found += bool(raw) and rule.receipt_id(raw) == wanted
            if found == 1:
                outcome |= 1 << number
        self._count(outcome, 1)
        self._outcomes.append(outcome)
        if len(self._outcomes) > ENOUGH:
            self._count(self._outcomes.popleft(), -1)

    def propose(self) -> Proposal | None:
        """The rule that matched most of the last messages; None before there are enough, or if none is good enough."""
        if len(self._outcomes) < ENOUGH:
            return None
        most = max(self._matched)
        if most * 100 < NEEDED_PERCENT * ENOUGH:
            return None
        return Proposal(self.rules[self._matched.index(most)], most, ENOUGH)

    def matched(self) -> dict[str, int]:
        """How many of the last messages each rule matched, by its name: for whoever looks on."""
        return {rule.name: count for rule, count in zip(self.rules, self._matched, strict=True)}

    def _count(self, outcome: int, step: int) -> None:
        number = 0
        while outcome:
            if outcome & 1:
                self._matched[number] += step
            outcome >>= 1
            number += 1

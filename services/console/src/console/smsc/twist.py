"""What the script does to one message: the acts that met it, joined into one set of orders."""

from console.smsc.pdu import ESME_RSYSERR, ESME_RTHROTTLED
from console.smsc.script import Act, Verb

ANSWERS = frozenset(
    (
        Verb.ANSWER_STATUS,
        Verb.THROTTLE_ABOVE,
        Verb.ANSWER_NACK,
        Verb.ANSWER_WITHOUT_ID,
        Verb.ANSWER_OTHER_SEQUENCE,
        Verb.ANSWER_TWICE,
        Verb.ANSWER_LATE,
        Verb.LOSE_RESPONSE,
        Verb.REUSE_ID,
    )
)
REPORTS = frozenset(
    (
        Verb.RECEIPT_FIRST,
        Verb.RECEIPT_TWICE,
        Verb.RECEIPT_LATE,
        Verb.RECEIPT_ELSEWHERE,
        Verb.RECEIPT_LOST,
        Verb.ENROUTE_FIRST,
    )
)
AT_SUBMIT_ONLY = frozenset((Verb.RECEIPT_FIRST, Verb.ENROUTE_FIRST))
"""Acts on a receipt that come too late once it is due."""


class Twist:
    """Of several acts that contradict each other, the last one holds; a refusal leaves no receipt to act upon."""

    __slots__ = (
        "acts",
        "cut",
        "elsewhere",
        "enroute",
        "first",
        "lose_receipt",
        "lose_response",
        "nack",
        "other_sequence",
        "receipt_acts",
        "receipt_late",
        "receipt_twice",
        "response_late",
        "reuse_id",
        "status",
        "twice",
        "with_body",
        "without_id",
    )

    def __init__(self) -> None:
        self.acts: list[Act] = []
        """What happens to the response."""
        self.receipt_acts: list[Act] = []
        self.status = 0
        self.with_body = self.nack = self.without_id = self.other_sequence = self.twice = False
        self.lose_response = self.reuse_id = self.cut = False
        self.response_late = 0.0
        self.first = self.receipt_twice = self.elsewhere = self.lose_receipt = self.enroute = False
        self.receipt_late = 0.0
        """Seconds of the receipts' clock."""

    def add(self, act: Act) -> None:
        (self.receipt_acts if act.verb in REPORTS else self.acts).append(act)
        match act.verb:
            case Verb.ANSWER_STATUS:
                self.status, self.with_body = act.status, act.with_body
            case Verb.THROTTLE_ABOVE:
                self.status = ESME_RTHROTTLED
            case Verb.ANSWER_NACK:
                self.status, self.nack = ESME_RSYSERR, True
            case Verb.ANSWER_WITHOUT_ID:
                self.without_id = True
            case Verb.ANSWER_OTHER_SEQUENCE:
                self.other_sequence = True
            case Verb.ANSWER_TWICE:
                self.twice = True
            case Verb.ANSWER_LATE:
                self.response_late += act.seconds
            case Verb.LOSE_RESPONSE:
                self.lose_response = True
            case Verb.REUSE_ID:
                self.reuse_id = True
            case Verb.CUT_IN_RESPONSE:
                self.cut = True
            case Verb.RECEIPT_FIRST:
                self.first = True
                self.response_late += act.seconds
            case Verb.RECEIPT_TWICE:
                self.receipt_twice = True
            case Verb.RECEIPT_LATE:
                self.receipt_late += act.seconds
            case Verb.RECEIPT_ELSEWHERE:
                self.elsewhere = True
            case Verb.RECEIPT_LOST:
                self.lose_receipt = True
            case Verb.ENROUTE_FIRST:
                self.enroute = True
            case _:
                raise ValueError("this act touches no message")

    def sentences(self) -> tuple[str, ...]:
        """For the row of the history."""
        return tuple(act.sentence for act in (*self.acts, *self.receipt_acts))

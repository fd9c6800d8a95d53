"""Receipts that cannot be right, or say what is known: each has a name under which it is counted.

`before_1970`, `too_old`, `ahead`: a time that its arrival contradicts; the arrival's counts instead. `repeat`,
`contradicts`, `backwards`: the part has its final word already, and keeps it. `other_carrier`, `unknown_id`: no
submission within a day; of the first kind, another carrier has given out that id.
"""

import msgspec
from shared.contracts.events import ReceiptReceived

OLDEST_MS = 8 * 86_400_000  # the topic keeps seven days: a receipt read again is not older
AHEAD_MS = 5 * 60_000  # two machines' clocks differ


def mended(receipt: ReceiptReceived, now: int) -> tuple[ReceiptReceived, str | None]:
    """The receipt with a time that can be, and what was odd about it."""
    at = receipt.occurred_at
    if now - OLDEST_MS <= at <= now + AHEAD_MS:
        return receipt, None
    odd = "before_1970" if at < 0 else "ahead" if at > now else "too_old"
    return msgspec.structs.replace(receipt, occurred_at=now), odd


def after_the_end(known: str | None, told: str | None) -> str:
    """What a receipt is that comes after its part's final state; `told` is None when it is not final itself."""
    if told is None:
        return "backwards"
    return "repeat" if told == known else "contradicts"

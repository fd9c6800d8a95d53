"""A campaign that may cost more than its tenant's limit needs a second person. Pure."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

MARGIN: Final = Decimal("1.10")  # an approval holds while the estimate has grown by no more than a tenth


class Approval(Struct, frozen=True):
    """Who said yes to which estimated cost."""

    by: str
    cost: Decimal


def needs_approval(limit: Decimal | None, cost: Decimal | None, given: Approval | None) -> str | None:
    """Why it may not be launched yet; None when it may. `cost` None: prices are not known, which no limit allows."""
    if limit is None or (cost is not None and cost <= limit):
        return None
    if given is not None and cost is not None and cost <= given.cost * MARGIN:
        return None
    if cost is None:
        return "the router does not tell prices, so its cost cannot be held to the limit"
    if given is not None:
        return f"it was approved at {given.cost:.2f} and would now cost about {cost:.2f}"
    return f"it would cost about {cost:.2f}, and above {limit:.2f} another person approves it"


def may_approve(editor: str | None, approver: str) -> bool:
    """Nobody approves what they wrote themselves."""
    return editor is not None and bool(approver) and editor != approver

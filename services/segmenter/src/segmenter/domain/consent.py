"""Who may be sent what: stances from the ledger, and the decision at the moment of sending.

A stance is what one person last said about one purpose. Grants follow the person; opt-outs stay with the person and
with the number, so whoever shares a number shares its strictest stance. A number that nobody's contact has yet is held
by the ref `number:<contact_id>`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

RULES: Final = "consent@1"
MARKETING: Final = "marketing"
NUMBER_REF: Final = "number:"

State = Literal["granted", "withdrawn", "suppressed"]
Refusal = Literal["no_consent", "opted_out", "suppressed"]


class Stance(Struct, frozen=True, gc=False):
    """`at` in milliseconds UTC: when the person said it, which may be before it was recorded."""

    state: State
    at: int
    source: str


Stances = dict[str, Stance]  # by purpose
NONE: Final[Stances] = {}


def ref_of_number(contact_id: str) -> str:
    """The ref under which a number's opt-out is kept while no contact has the number."""
    return NUMBER_REF + contact_id


def take_in(stances: Mapping[str, Stance], purpose: str, said: Stance) -> Stances | None:
    """The stances after `said`; None when it changes nothing.

    What was said last holds, whenever it is told; of two at the same moment the withdrawal holds. Suppression, which
    erasure leaves behind, ends only by being lifted.
    """
    held = stances.get(purpose)
    if held is not None:
        if held.state == "suppressed" or said.at < held.at:
            return None
        if said.at == held.at and (held.state == "withdrawn" or said.state == held.state):
            return None
    return {**stances, purpose: said}


def lift(stances: Mapping[str, Stance], granted_at: int) -> Stances | None:
    """A number's own stances after a person behind it has granted anew; None when that changes nothing."""
    held = stances.get(MARKETING)
    if held is None or held.state != "withdrawn" or held.at > granted_at:
        return None
    return {purpose: stance for purpose, stance in stances.items() if purpose != MARKETING}


_STRICTNESS: Final[dict[State, int]] = {"granted": 0, "withdrawn": 1, "suppressed": 2}


def strictest(one: Stance | None, other: Stance | None) -> Stance | None:
    """Of two stances about one purpose the stricter; of two alike the later. Its moment is the later of both, so that
    nothing said before either of them undoes it."""
    if one is None or other is None:
        return one or other
    chosen = max(one, other, key=lambda stance: (_STRICTNESS[stance.state], stance.at))
    return Stance(chosen.state, max(one.at, other.at), chosen.source) if chosen.state != "granted" else chosen


def merged(everyone: Iterable[Mapping[str, Stance]]) -> Stances:
    """What one person says of whom several records were kept: of each purpose the strictest."""
    found: Stances = {}
    for stances in everyone:
        for purpose, stance in stances.items():
            kept = strictest(found.get(purpose), stance)
            assert kept is not None
            found[purpose] = kept
    return found


def unsuppressed(stances: Stances) -> Stances:
    """The stances once suppression is lifted: whoever was erased has then said nothing."""
    return {purpose: stance for purpose, stance in stances.items() if stance.state != "suppressed"}


def published(stances: Mapping[str, Stance], suppressed: bool) -> dict[str, str]:
    """All purposes of a person as the topic tells them."""
    told: dict[str, str] = {purpose: stance.state for purpose, stance in stances.items()}
    if suppressed:
        told[MARKETING] = "suppressed"
    return told


def kind_of(purpose: str) -> str:
    """`marketing` of a brand's `marketing:kids`."""
    return purpose.partition(":")[0]


def refusal(
    purpose: str, person: Mapping[str, Stance], sharing: Iterable[Mapping[str, Stance]], suppressed: bool
) -> Refusal | None:
    """Why this person may not be sent this purpose now; None when they may.

    `person`: stances of whom the message is for. `sharing`: stances of everyone with the same number, the person and
    the number itself included. Only marketing needs a grant; otp and transactional ignore a marketing STOP. For a
    brand's marketing a grant of all marketing will do, and so will a refusal; of the brand's own word the refusal is
    the brand's alone.
    """
    if kind_of(purpose) != MARKETING:
        return None
    if suppressed:
        return "suppressed"
    withdrawn = False
    asked = (MARKETING,) if purpose == MARKETING else (MARKETING, purpose)
    for stances in sharing:
        for one in asked:
            held = stances.get(one)
            if held is not None and held.state == "suppressed":
                return "suppressed"
            withdrawn = withdrawn or (held is not None and held.state == "withdrawn")
    if withdrawn:
        return "opted_out"
    return None if any(one in person and person[one].state == "granted" for one in asked) else "no_consent"


def purpose_of(purpose: str, sender: str | None, brands: Mapping[str, str]) -> str:
    """What consent is asked for: a brand's marketing when the sender is the brand's. `brands`: whose each sender is."""
    brand = brands.get(sender or "") if purpose == MARKETING else None
    return purpose if brand is None else f"{MARKETING}:{brand}"


def strongest(everyone: Iterable[Stances], purpose: str = MARKETING) -> Stances:
    """Stances of the person meant by a bare number: of those who share it, one who granted this marketing, else none."""
    for stances in everyone:
        if any(one in stances and stances[one].state == "granted" for one in (MARKETING, purpose)):
            return stances
    return NONE

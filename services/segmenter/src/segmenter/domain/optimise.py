"""Traffic follows the answers: to the winner after a test, or bit by bit by Thompson sampling. Pure: counts and a seed in.

Thompson sampling (W. R. Thompson, 1933): a variant's share is the probability that it is the best, given what is known; here
estimated from draws of each variant's Beta posterior. A floor keeps every variant in play, so that a late bloomer is seen.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

WHOLE: Final = 10_000  # shares are parts of this
DRAWS: Final = 2_000  # a share's error is about one in a hundred
BANDIT_EVERY_MS: Final = 60_000
By = Literal["clicked", "converted"]


class Winner(Struct, frozen=True, tag_field="kind", tag="winner", forbid_unknown_fields=True):
    """`test_share` percent of the audience are written to by the variants' shares; `after_s` later the rest gets the best."""

    by: By
    test_share: Annotated[int, Meta(ge=1, le=90)]
    after_s: Annotated[int, Meta(ge=1, le=604_800)] = 14_400


class Bandit(Struct, frozen=True, tag_field="kind", tag="bandit", forbid_unknown_fields=True):
    """`floor`: percent that each variant keeps."""

    by: By
    floor: Annotated[int, Meta(ge=0, le=50)] = 5


Optimise = Winner | Bandit


class Answers(NamedTuple):
    """Messages of a variant, and how many were answered as wanted."""

    messages: int
    answered: int


def trouble_with(optimise: Optimise, variants: int, local_time: bool) -> str | None:
    """Why this cannot be done; None when it can."""
    if variants < 2:
        return "needs two variants or more to choose between"
    if isinstance(optimise, Bandit) and optimise.floor * variants > 100:
        return f"a floor of {optimise.floor} for {variants} variants is more than all"
    if isinstance(optimise, Winner) and local_time:
        return "a test first and everybody's local time do not go together"
    return None


def winner(answers: Mapping[str, Answers], order: Sequence[str]) -> str:
    """The variant of the highest rate; of equals, and without any answer, the first of `order`. Rates are those of the
    posterior's mean, so that one lucky message beats nobody."""

    def rate(variant: str) -> float:
        known = answers.get(variant, Answers(0, 0))
        return (known.answered + 1) / (known.messages + 2)

    return max(order, key=lambda variant: (rate(variant), -order.index(variant)))


def thompson(answers: Mapping[str, Answers], order: Sequence[str], floor: int, seed: str) -> dict[str, int]:
    """Shares of `WHOLE` by variant, none below `floor` percent. The same seed gives the same shares."""
    dice = random.Random(seed)
    known = [answers.get(variant, Answers(0, 0)) for variant in order]
    won = [0] * len(order)
    for _ in range(DRAWS):
        draws = [dice.betavariate(a.answered + 1, max(0, a.messages - a.answered) + 1) for a in known]
        won[draws.index(max(draws))] += 1
    least = floor * WHOLE // 100
    free = WHOLE - least * len(order)
    shares = [least + free * wins // DRAWS for wins in won]
    shares[won.index(max(won))] += WHOLE - sum(shares)  # what rounding left
    return dict(zip(order, shares, strict=True))


def all_to(variant: str) -> dict[str, int]:
    return {variant: WHOLE}

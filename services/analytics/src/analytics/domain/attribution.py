"""Which messages earned a conversion: touches within their campaign's window, and how the credit is shared.

A touch is a message that a carrier took and that did not fail. Every model gives exactly one whole credit and the whole
value, to the last millionth, or nothing when no message touched the person in time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from shared.contracts.fields import MICROS

DAY_MS: Final = 86_400_000
HALF_LIFE_MS: Final = 2 * DAY_MS  # of a message's influence in the model `decay`: an SMS is read within minutes
MOST_TOUCHES: Final = 50  # the latest; more share nothing that anybody could read


class Rule(NamedTuple):
    """What counts for a campaign, or for all of a tenant's that have no rule of their own."""

    window_ms: int = 7 * DAY_MS
    events: frozenset[str] = frozenset()  # names; empty: every event that has a value


class Conversion(NamedTuple):
    """`at` and `value` as the caller told them last; ms UTC and millionths."""

    event_id: str
    name: str
    at: int
    value: int | None
    currency: str | None


class Touch(NamedTuple):
    message_id: str
    campaign_id: str
    at: int  # when a carrier took it, ms UTC


class Credit(NamedTuple):
    """`share` and `value` in millionths."""

    model: str
    touch: Touch
    share: int
    value: int


def counts(rule: Rule, conversion: Conversion) -> bool:
    return conversion.name in rule.events if rule.events else conversion.value is not None


def converted(since: int, conversions: Iterable[Conversion], rule: Rule) -> bool:
    """Did one who was chosen at `since` do what the campaign wants, written to or held out?"""
    return any(counts(rule, c) and 0 <= c.at - since < rule.window_ms for c in conversions)


def in_time(conversion: Conversion, touches: Sequence[Touch], rule_of: Callable[[str], Rule]) -> list[Touch]:
    """The touches that may have led to it, oldest first."""
    found = []
    for touch in touches:
        rule = rule_of(touch.campaign_id)
        if counts(rule, conversion) and 0 <= conversion.at - touch.at <= rule.window_ms:
            found.append(touch)
    found.sort(key=lambda touch: (touch.at, touch.message_id))
    return found[-MOST_TOUCHES:]


def weights(model: str, touches: Sequence[Touch], at: int) -> list[float]:
    match model:
        case "last":
            return [0.0] * (len(touches) - 1) + [1.0]
        case "first":
            return [1.0] + [0.0] * (len(touches) - 1)
        case "linear":
            return [1.0] * len(touches)
        case "decay":
            newest = touches[-1].at  # from the newest touch on, so that an old conversion's weights do not vanish
            return [0.5 ** ((newest - touch.at) / HALF_LIFE_MS) for touch in touches]
    raise ValueError(f"no model is called {model}")


MODELS: Final = ("last", "first", "linear", "decay")


def shared_out(total: int, parts: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `parts` that add up to `total`: the largest remainders get what is left over."""
    sum_of = sum(parts)
    exact = [total * part / sum_of for part in parts]
    found = [int(value) for value in exact]
    order = sorted(range(len(parts)), key=lambda index: (found[index] - exact[index], index))
    left, step = total - sum(found), 1 if total >= sum(found) else -1
    for turn in range(abs(left)):
        found[order[turn % len(order)]] += step
    return found


def credits(conversion: Conversion, touches: Sequence[Touch], rule_of: Callable[[str], Rule]) -> list[Credit]:
    """By every model; touches without a share are left out."""
    timely = in_time(conversion, touches, rule_of)
    if not timely:
        return []
    found = []
    for model in MODELS:
        parts = weights(model, timely, conversion.at)
        shares = shared_out(MICROS, parts)
        values = shared_out(conversion.value or 0, parts)
        found += [
            Credit(model, touch, share, value)
            for touch, share, value in zip(timely, shares, values, strict=True)
            if share
        ]
    return found


def rule_for(rules: Mapping[str, Rule], campaign_id: str) -> Rule:
    """`rules` by campaign; the tenant's own stands under the empty name."""
    return rules.get(campaign_id) or rules.get("") or Rule()

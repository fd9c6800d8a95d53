"""What the reports of a running campaign say: a rate, the time left, whether it has ended. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUIET_S = 12.0  # the simulated carriers' slowest receipts take 8 s; one message in a hundred never gets one


@dataclass(frozen=True)
class Progress:
    """One report, in numbers, with the seconds since the launch at which it was read."""

    at: float
    audience: int = 0
    accepted: int = 0
    submitted: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    pending: int = 0

    @property
    def decided(self) -> int:
        """Messages whose way is at an end."""
        return self.delivered + self.failed + self.dropped

    @property
    def total(self) -> int:
        return max(self.audience, self.accepted)  # a dropped message was accepted first


def read_progress(report: Mapping[str, Any], at: float) -> Progress:
    """A report of GET /campaigns/{id}/report. Fields that are not there yet count as zero."""

    def count(name: str) -> int:
        value = report.get(name) or 0
        return sum(value.values()) if isinstance(value, Mapping) else int(value)

    return Progress(
        at,
        *(count(name) for name in ("audience", "accepted", "submitted", "delivered", "failed", "dropped", "pending")),
    )


def rate(history: list[Progress], over_s: float = 5.0) -> float:
    """Messages decided a second, over the last seconds."""
    if len(history) < 2:
        return 0.0
    last = history[-1]
    first = next((each for each in history if last.at - each.at <= over_s), last)
    seconds = last.at - first.at
    return (last.decided - first.decided) / seconds if seconds > 0 else 0.0


def seconds_left(history: list[Progress]) -> float | None:
    """At the present rate; None when nothing moves."""
    speed = rate(history)
    if speed <= 0:
        return None
    return max(0, history[-1].total - history[-1].decided) / speed


def has_ended(history: list[Progress]) -> bool:
    """All messages are decided, or most are and nothing has changed for a while: the rest waits for lost receipts."""
    if not history or not history[-1].total:
        return False
    last = history[-1]
    if last.decided >= last.total:
        return True
    since = next(each.at for each in history if each.decided == last.decided and each.submitted == last.submitted)
    return last.decided >= 0.9 * last.total and last.at - since >= QUIET_S

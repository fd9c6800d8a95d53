"""How the demo shows itself: a live table in a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from relais_local.demo.progress import Progress, rate, seconds_left

COLUMNS = ("submitted", "delivered", "unknown", "pending", "parts", "cost", "currency")  # what a terminal has room for
PLAIN_EVERY_S = 2.0


class Screen:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._said_at = -PLAIN_EVERY_S

    def say(self, line: str) -> None:
        self._console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    def show(self, history: list[Progress], report: Mapping[str, Any]) -> None:
        """The present state; called after each report."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=4)
                self._live.start()
            self._live.update(running(history, report))
        elif history[-1].at - self._said_at >= PLAIN_EVERY_S:
            self._said_at = history[-1].at
            self.say(plain_line(history))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def report(self, campaign_id: str, report: Mapping[str, Any]) -> None:
        self._console.print(final(campaign_id, report))


def plain_line(history: list[Progress]) -> str:
    last = history[-1]
    return (
        f"{last.at:6.1f} s  accepted {last.accepted}  dropped {last.dropped}  submitted {last.submitted}  "
        f"delivered {last.delivered}  failed {last.failed}  {rate(history):.0f}/s  {_left(history)}"
    )


def running(history: list[Progress], report: Mapping[str, Any]) -> RenderableType:
    last = history[-1]
    table = Table.grid(padding=(0, 2))
    for name in ("accepted", "dropped", "submitted", "delivered", "failed", "rate", "time left"):
        table.add_column(name, justify="right")
    table.add_row(
        *(Text(name, style="dim") for name in ("accepted", "dropped", "submitted", "delivered", "failed", "rate", ""))
    )
    table.add_row(
        f"{last.accepted:,}",
        f"{last.dropped:,}",
        f"{last.submitted:,}",
        Text(f"{last.delivered:,}", style="green"),
        Text(f"{last.failed:,}", style="red"),
        f"{rate(history):,.0f}/s",
        _left(history),
    )
    bar = ProgressBar(total=max(1, last.total), completed=min(last.decided, last.total), width=72)
    reasons = _reasons(report)
    return Group(bar, table, *([Text(reasons, style="dim")] if reasons else []))


def final(campaign_id: str, report: Mapping[str, Any]) -> RenderableType:
    """The campaign's report as a person reads it."""
    outcome = Table(
        title=f"Campaign {campaign_id}", title_justify="left", title_style="bold", box=None, show_header=False
    )
    outcome.add_column(style="dim")
    outcome.add_column(justify="right")
    for name in ("audience", "accepted", "submitted", "delivered", "pending"):
        outcome.add_row(name, f"{int(report.get(name) or 0):,}")
    for name in ("dropped", "failed"):
        for reason, count in sorted((report.get(name) or {}).items(), key=lambda item: -item[1]):
            outcome.add_row(f"{name}: {reason}", f"{count:,}")
    outcome.add_row("cost", f"{Decimal(str(report.get('cost') or 0)):,.2f} {report.get('currency') or 'EUR'}")
    tables = [
        _breakdown(title, report.get(name) or {})
        for title, name in (("by carrier", "by_carrier"), ("by country", "by_country"))
    ]
    return Group(outcome, *tables)


def _breakdown(title: str, rows: Mapping[str, Any]) -> Table:
    """One line for each carrier or country; the columns are those of `COLUMNS` that the rows have."""
    columns: list[str] = []
    for row in rows.values():
        if isinstance(row, Mapping):
            columns += [name for name in COLUMNS if name in row and name not in columns]
    table = Table(box=None, title_justify="left")
    table.add_column(title, style="dim")
    for name in columns or ["messages"]:
        table.add_column(name, justify="right", header_style="dim")
    for name, row in sorted(rows.items()):
        values = [row.get(column, "") for column in columns] if isinstance(row, Mapping) else [row]
        table.add_row(name, *(f"{value:,}" if isinstance(value, int) else str(value) for value in values))
    return table


def _reasons(report: Mapping[str, Any]) -> str:
    parts = []
    for name in ("dropped", "failed"):
        reasons = report.get(name) or {}
        parts += [f"{reason} {count:,}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])]
    return "  ".join(parts)


def _left(history: list[Progress]) -> str:
    seconds = seconds_left(history)
    return "" if seconds is None else f"{seconds:.0f} s left"

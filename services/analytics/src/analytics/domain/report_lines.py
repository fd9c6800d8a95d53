"""A campaign's report as lines of a table, for a spreadsheet: one a combination of its dimensions."""

import csv
import io
from collections.abc import Iterable
from typing import Final

from analytics.domain.earned import Earned, Response
from analytics.domain.report import Counter, Sums

DIMENSIONS: Final = ("hour", "run", "variant", "segment", "country", "carrier")
MEASURES: Final = (
    "accepted", "dropped", "submitted", "delivered", "failed", "unknown", "pending", "parts", "cost", "currency", "clicks_people",
    "clicks", "machine_clicks", "replies_people", "replies", "opt_outs", "conversions", "revenue", "revenue_currency",
)  # fmt: skip
Key = tuple[int, str, str, str, str, str]


def lines_of(rows: Iterable[Counter], responses: Iterable[Response]) -> list[dict[str, object]]:
    sums: dict[Key, Sums] = {}
    earned: dict[Key, Earned] = {}
    for row in rows:
        sums.setdefault(_key(row), Sums()).add(row)
    for response in responses:
        earned.setdefault(_key(response), Earned()).add(response)
    found = []
    for key in sorted({*sums, *earned}):
        counted, got = sums.get(key, Sums()), earned.get(key, Earned())
        told = counted.told()
        answered = got.told({}, counted.delivered)
        found.append(
            dict(zip(DIMENSIONS, key, strict=True))
            | {name: told[name] for name in ("accepted", "submitted", "delivered", "unknown", "pending", "parts")}
            | {"dropped": sum(told["dropped"].values()), "failed": sum(told["failed"].values())}
            | {"cost": _amounts(counted.told_costs()), "currency": " ".join(counted.told_costs())}
            | {"clicks_people": got.clickers, "clicks": got.clicks, "machine_clicks": got.machine_clicks}
            | {"replies_people": got.repliers, "replies": got.replies}
            | {"opt_outs": got.opt_outs, "conversions": answered["conversions"]}
            | {"revenue": _amounts(answered["revenue"]), "revenue_currency": " ".join(answered["revenue"])}
        )
    return found


def as_csv(lines: Iterable[dict[str, object]]) -> str:
    """RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.DictWriter(out, (*DIMENSIONS, *MEASURES), lineterminator="\r\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: _harmless(value) for name, value in line.items()})
    return out.getvalue()


def _key(row: Counter | Response) -> Key:
    return (row.hour, row.run, row.variant, row.segment, row.country, row.carrier)


def _amounts(amounts: dict[str, str]) -> str:
    return " ".join(amounts.values())


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

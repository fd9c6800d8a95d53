import csv
import io
from typing import Any

from analytics.domain.earned import Response
from analytics.domain.report import Counter, report_of
from analytics.domain.report_lines import as_csv, lines_of

HOUR = 3_600_000
T = 500_000 * HOUR


def counter(**more: Any) -> Counter:
    plain: dict[str, Any] = {
        "hour": T, "run": "1", "variant": "a", "segment": "s", "country": "FR", "carrier": "mercure", "outcome": "delivered",
        "reason": "", "currency": "EUR", "messages": 10, "submitted": 10, "parts": 10, "cost": 400_000,
    }  # fmt: skip
    return Counter(**{**plain, **more})


def response(**more: Any) -> Response:
    plain: dict[str, Any] = {
        "hour": T, "run": "1", "variant": "a", "segment": "s", "country": "FR", "carrier": "mercure", "currency": "EUR",
        "clickers": 0, "clicks": 0, "machine_clicks": 0, "repliers": 0, "replies": 0,
        "clicked_and_replied": 0, "opt_outs": 0, "conversions": 0, "revenue": 0,
    }  # fmt: skip
    return Response(**{**plain, **more})


def test_margin_and_roi_are_of_one_currency() -> None:
    told = report_of([counter()], [response(clickers=2, clicks=3, machine_clicks=4), response(conversions=500_000, revenue=1_200_000)])  # fmt: skip
    assert told["clicks"] == {"people": 2, "visits": 3, "machines": 4}
    assert (told["conversions"], told["revenue"], told["margin"], told["roi"]) == (
        0.5,
        {"EUR": "1.200000"},
        "0.800000",
        2.0,
    )
    mixed = report_of([counter()], [response(revenue=5, currency="USD")])
    assert (mixed["revenue"], mixed["margin"], mixed["roi"]) == ({"USD": "0.000005"}, None, None)
    nothing = report_of([], [])
    assert (nothing["margin"], nothing["roi"], nothing["revenue"]) == ("0.000000", None, {})


def test_every_breakdown_adds_up_to_the_total() -> None:
    rows = [counter(variant=v, hour=T + h * HOUR) for v in "ab" for h in (0, 0, 1)]
    answered = [response(variant=v, hour=T + h * HOUR, clickers=1, opt_outs=2, revenue=7) for v in "ab" for h in (0, 1)]
    told = report_of(rows, answered)
    for name in ("by_variant", "by_carrier", "by_country", "by_segment", "by_run"):
        groups = told[name].values()
        assert sum(g["accepted"] for g in groups) == told["accepted"] == 60
        assert sum(g["clicks"]["people"] for g in groups) == told["clicks"]["people"] == 4
        assert sum(g["opt_outs"] for g in groups) == told["opt_outs"] == 8
    assert [hour["accepted"] for hour in told["by_hour"]] == [40, 20]
    assert [hour["clicks"]["people"] for hour in told["by_hour"]] == [2, 2]


def test_the_exports_lines_add_up_to_the_report_and_hold_no_formula() -> None:
    rows = [counter(segment="=cmd()"), counter(outcome="dropped", reason="no_consent", carrier="", submitted=0, cost=0)]
    lines = lines_of(rows, [response(segment="=cmd()", clickers=3, conversions=1_500_000, revenue=9_000_000)])
    read = list(csv.DictReader(io.StringIO(as_csv(lines))))
    assert sum(int(line["accepted"]) for line in read) == report_of(rows)["accepted"]
    assert [line["segment"] for line in read] == ["'=cmd()", "s"]
    assert (read[0]["clicks_people"], read[0]["conversions"], read[0]["revenue"], read[0]["cost"]) == ("3", "1.5", "9.000000", "0.400000")  # fmt: skip

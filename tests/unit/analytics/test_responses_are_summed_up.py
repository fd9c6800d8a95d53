"""Sums of what people did, opens that nobody measures, and which texts did best: pure."""

import io
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest
from analytics.adapters.parquet import as_parquet
from analytics.domain.attribution import Conversion, Rule, converted
from analytics.domain.best import Performance, best
from analytics.domain.contribution import State, changes, minutes, people_to_recount, state_of
from analytics.domain.opens import opens_of
from analytics.domain.report import Course, report_of
from analytics.domain.report_lines import lines_of
from analytics.domain.response_sums import CLICK, MEASURES, OPT_OUT, REPLY, First, MessagePlace, ResponseSums, SumPlace
from shared.contracts.events import StateReached
from test_rollup_moves import BORN, status
from test_what_a_report_says_was_earned import T, counter, response

PLACE = MessagePlace("acme", "spring", 7, "1", "a", "s", "FR", "iris")


def sums(found: ResponseSums) -> dict[SumPlace, dict[str, int]]:
    return {
        place: {name: n for name, n in zip(MEASURES, counts, strict=True) if n}
        for place, counts in found.rows().items()
    }


def test_a_message_that_did_both_is_counted_as_such_once_whichever_came_first() -> None:
    for first, then in ((CLICK, REPLY), (REPLY, CLICK)):
        found = ResponseSums()
        found.first(
            [
                First(first, PLACE),
                First(then, PLACE, frozenset({first})),
                First(OPT_OUT, PLACE, frozenset({CLICK, REPLY})),
            ]
        )
        assert sums(found) == {
            SumPlace(PLACE): {"clickers": 1, "repliers": 1, "clicked_and_replied": 1, "opted_out": 1}
        }
        found.first([First(then, PLACE, frozenset({first}))], -1)
        found.first([First(first, PLACE), First(OPT_OUT, PLACE)], -1)
        assert sums(found) == {}


def test_a_click_that_finds_its_message_leaves_where_it_was_counted() -> None:
    found = ResponseSums()
    nobody = MessagePlace("acme", "own")
    found.visit(nobody, True)
    found.link(nobody, "l", human=1)
    found.visit(nobody, True, -1)
    found.link(nobody, "l", human=-1)
    found.visit(PLACE, True)
    found.link(PLACE, "l", human=1, first=1)
    assert sums(found) == {SumPlace(PLACE): {"clicks": 1}}
    assert found.link_rows() == {("acme", "spring", "l"): [1, 1, 0]}


@pytest.mark.parametrize(
    ("clickers", "repliers", "both", "estimate", "low", "high"),
    [
        (100, 50, 20, 244, 174, 314),  # 101 * 51 / 21 - 1, with Seber's variance
        (100, 50, 3, None, 147, 1_000),  # too few did both
        (0, 0, 0, None, 0, 1_000),
        (900, 800, 700, 1_000, 1_000, 1_000),  # never more than it was delivered to, nor fewer than answered
    ],
)
def test_opens_are_an_estimate_with_an_interval(
    clickers: int, repliers: int, both: int, estimate: int | None, low: int, high: int
) -> None:
    told = opens_of(1_000, clickers, repliers, both)
    assert (told["measured"], told["estimate"], told["low"], told["high"]) == (False, estimate, low, high)


def test_a_report_tells_replies_opens_and_its_course() -> None:
    answers = [response(clickers=3, clicks=4, repliers=2, replies=5, clicked_and_replied=1)]
    told = report_of([counter()], answers, [Course(T, "delivered", 6), Course(T, "dropped", 1)])
    assert told["replies"] == {"people": 2, "messages": 5}
    assert (told["opens"]["low"], told["opens"]["high"]) == (4, 10)
    assert told["by_minute"] == [
        {"minute": T, "accepted": 7, "dropped": 1, "delivered": 6, "failed": 0, "unknown": 0, "pending": 0}
    ]


def test_a_campaigns_minutes_move_as_its_messages_do() -> None:
    before = state_of(status(version=1))
    found = changes({"m1": before}, [state_of(status(version=2, state="delivered", attempt=1)), state_of(status("m2"))])
    assert {(m.minute, m.outcome): n for m, n in minutes(found).items()} == {(BORN - BORN % 60_000, "delivered"): 1}
    api = changes({}, [state_of(status("m3", campaign_id=None))])
    assert minutes(api) == {}


def people(before: State | None, after: State) -> set[tuple[str, str]]:
    return people_to_recount(changes({} if before is None else {before.message_id: before}, [after]))


def test_people_are_recounted_only_when_it_may_change_who_earned_what() -> None:
    def state(version: int, name: str, **more: Any) -> State:
        return state_of(status(version=version, state=name, contact_ref="ann", **more))

    sent = {"attempt": 1, "carrier": "iris"}
    accepted, submitted = state(1, "accepted"), state(2, "submitted", **sent)
    assert people(None, accepted) == {("acme", "ann")}
    assert people(accepted, state(2, "prepared")) == set()
    assert people(accepted, submitted) == {("acme", "ann")}
    assert people(submitted, state(3, "delivered", **sent)) == set()
    assert people(submitted, state(3, "undelivered", **sent)) == {("acme", "ann")}
    again = StateReached(state="submitted", at=BORN + 90_000)  # taken later than was known: another order of touches
    assert people(submitted, state(3, "submitted", states=[again], **sent)) == {("acme", "ann")}
    assert people(submitted, state(3, "submitted", attempt=2, carrier="mercure")) == {("acme", "ann")}
    assert people(None, state(1, "dropped", reason="no_consent")) == set()
    assert people(None, state(1, "dropped", reason="holdout")) == {("acme", "ann")}
    assert people(None, state_of(status())) == set()  # nobody known


def test_somebody_converted_who_did_what_the_campaign_wants_within_its_window() -> None:
    bought, looked = Conversion("e", "purchase", 1_000, 5, "EUR"), Conversion("f", "visit", 1_000, None, None)
    assert converted(1_000, [bought], Rule(10))
    assert not converted(1_001, [bought], Rule(10))
    assert not converted(990, [bought], Rule(10))
    assert not converted(1_000, [looked], Rule(10))
    assert converted(1_000, [looked], Rule(10, frozenset({"visit"})))


def performance(name: str, submitted: int, clicked: int, **revenue: int) -> Performance:
    return Performance("c", name, submitted, submitted, 0, clicked, 0, 0, 0, revenue)


def test_luck_among_few_does_not_win() -> None:
    rows = [performance("lucky", 3, 1), performance("good", 1_000, 120), performance("poor", 1_000, 20, EUR=9)]
    assert [line["variant"] for line in best(rows, "clicked", 2)] == ["good", "lucky"]
    assert best(rows, "revenue", 1)[0]["variant"] == "poor"
    assert best([], "revenue", 1) == []


def test_parquet_has_types_and_says_what_several_currencies_hide() -> None:
    rows = [counter(), counter(variant="b"), counter(variant="b", currency="USD", cost=1)]
    lines = lines_of(rows, [response(conversions=1_500_000, revenue=9_000_000), response(hour=0, replies=1)])
    table = pq.read_table(io.BytesIO(as_parquet(lines))).to_pylist()
    assert [row["hour"] and row["hour"].timestamp() * 1000 for row in table] == [None, T, T]
    assert (table[1]["cost"], table[1]["currency"], table[1]["revenue"], table[1]["conversions"]) == (
        Decimal("0.4"),
        "EUR",
        9,
        1.5,
    )
    assert (table[2]["cost"], table[2]["costs"]) == (None, [("EUR", Decimal("0.4")), ("USD", Decimal("0.000001"))])

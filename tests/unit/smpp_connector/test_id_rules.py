"""Ids are paired where that is beyond doubt, and a rule is followed only once applied."""

from datetime import UTC, datetime
from typing import Any, cast

from shared.carriers.learn_id_rule import RULES, IdRuleLearner, Proposal, ReceiptIds
from shared.carriers.plain import PROFILE as PLAIN
from smpp_connector.adapters.id_rules import IdRules, StoredRule
from smpp_connector.domain.pair_ids import MOST_NUMBERS, PATIENCE_S, PairIds
from smpp_connector.id_rule import IdRuleKeeper

AT = datetime(2024, 1, 1, tzinfo=UTC)


class Observer:
    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []

    def observe(self, response_id: str, candidates: Any) -> None:
        self.seen.append((response_id, [ids.text for ids in candidates]))


def pairs() -> tuple[PairIds, Observer]:
    observer = Observer()
    return PairIds(cast(IdRuleLearner, observer)), observer


def test_a_message_is_learnt_from_once_it_has_its_answer_and_its_receipt_in_either_order() -> None:
    paired, observer = pairs()
    paired.written("n", 1, 0)
    paired.answered("n", "1a")
    paired.receipt("n", ReceiptIds("26"))
    paired.written("n", 1, 1)
    paired.receipt("n", ReceiptIds("27"))  # before its response
    paired.answered("n", "1b")
    paired.receipt("n", ReceiptIds("27"))  # and again
    assert observer.seen == [("1a", ["26"]), ("1b", ["27"])]


def test_parts_are_learnt_from_together_and_repeated_states_count_once() -> None:
    paired, observer = pairs()
    paired.written("n", 2, 0)
    paired.answered("n", "1")
    paired.receipt("n", ReceiptIds("a"))
    paired.receipt("n", ReceiptIds("a"))  # delivered after enroute
    paired.answered("n", "2")
    assert observer.seen == []
    paired.receipt("n", ReceiptIds("b"))
    assert observer.seen == [("1", ["a", "b"]), ("2", ["a", "b"])]


def test_what_is_in_doubt_teaches_nothing() -> None:
    paired, observer = pairs()
    paired.receipt("n", ReceiptIds("of an earlier message"))
    paired.written("n", 1, 0)
    paired.answered("n", None)  # refused, or never answered: a receipt may come all the same
    paired.receipt("n", ReceiptIds("26"))
    paired.written("m", 1, 0)
    paired.receipt("m", ReceiptIds("27"))
    paired.receipt("m", ReceiptIds("28"))
    paired.answered("m", "1b")
    assert observer.seen == []


def test_only_so_many_numbers_are_followed_and_silent_ones_make_room() -> None:
    paired, observer = pairs()
    for number in range(MOST_NUMBERS + 1):
        paired.written(str(number), 1, 0)
    late = str(MOST_NUMBERS)
    paired.answered(late, "1")
    paired.receipt(late, ReceiptIds("1"))
    assert observer.seen == []
    paired.written(late, 1, PATIENCE_S + 1)
    paired.answered(late, "1")
    paired.receipt(late, ReceiptIds("1"))
    assert observer.seen == [("1", ["1"])]


class Table:
    def __init__(self) -> None:
        self.row: StoredRule | None = None

    async def find(self) -> StoredRule | None:
        return self.row

    async def propose(self, proposal: Proposal) -> None:
        self.row = StoredRule(proposal.rule.name, proposal.matched, proposal.observed, AT, None)

    async def apply(self, rule: str) -> bool:
        assert self.row is not None
        self.row = StoredRule(rule, self.row.matched, self.row.observed, AT, AT)
        return True


async def taught(mode: str, hits: int) -> tuple[Table, IdRuleKeeper, list[Any]]:
    """A keeper that saw 1,000 messages of a carrier that answers in hexadecimal, `hits` of them with fitting receipts."""
    table, changes = Table(), list[Any]()
    keeper = IdRuleKeeper(cast(IdRules, table), "mercure", mode, PLAIN, changes.append)
    if keeper.pairs is not None:
        for number in range(1000):
            keeper.pairs.written("n", 1, 0)
            keeper.pairs.answered("n", f"{number + 4096:x}")
            keeper.pairs.receipt("n", ReceiptIds(str(number + 4096 if number < hits else 7)))
    await keeper._propose()
    await keeper._follow()
    return table, keeper, changes


async def test_a_rule_is_proposed_and_stored_and_waits_for_a_person() -> None:
    table, keeper, changes = await taught("propose", 990)
    assert table.row is not None
    assert (table.row.matched, table.row.observed, changes) == (990, 1000, [])
    assert keeper.shown()["in_force"] == "profile plain"
    await table.apply(table.row.rule)
    await keeper._follow()
    (profile,) = changes
    assert profile.canonical_id_from_response("1000") == profile.canonical_id_from_receipt("4096") == "4096"
    assert keeper.shown()["in_force"] == keeper.shown()["proposal"]["rule"]
    table.row = None  # dropped by a person
    await keeper._follow()
    assert changes[1] is PLAIN


async def test_a_rule_that_matched_less_than_99_percent_is_not_proposed() -> None:
    table, keeper, changes = await taught("learn", 989)
    assert (table.row, changes) == (None, [])
    assert max(keeper.shown()["matched"].values()) == 989


async def test_where_the_file_says_so_a_good_rule_is_applied_by_itself() -> None:
    table, _, changes = await taught("learn", 1000)
    assert table.row is not None
    assert table.row.in_force in RULES
    assert len(changes) == 1


async def test_a_proposal_that_waited_is_applied_once_the_file_says_so_and_one_that_was_dropped_is_learnt_anew() -> (
    None
):
    table, keeper, changes = await taught("propose", 1000)
    assert table.row is not None
    keeper._mode = "learn"
    await keeper._propose()
    await keeper._follow()
    assert table.row.in_force is not None
    table.row = None  # dropped
    await keeper._follow()
    await keeper._propose()
    assert (table.row, keeper.shown()["observed"], len(changes)) == (None, 0, 2)


async def test_without_learning_a_rule_that_was_applied_earlier_still_counts() -> None:
    table, changes = Table(), list[Any]()
    table.row = StoredRule(RULES[2].name, 1000, 1000, AT, AT)
    keeper = IdRuleKeeper(cast(IdRules, table), "mercure", "profile", PLAIN, changes.append)
    await keeper.open()
    assert keeper.pairs is None
    assert len(changes) == 1

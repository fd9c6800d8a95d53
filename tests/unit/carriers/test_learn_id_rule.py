"""A rule is proposed for what traffic showed, and only when it showed it."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.carriers.learn_id_rule import ENOUGH, RULES, IdRuleLearner, ReceiptIds
from shared.carriers.plain import PROFILE as PLAIN
from shared.smpp.constants import TLV_RECEIPTED_MESSAGE_ID
from shared.smpp.pdu import DeliverSm

# How a carrier writes the number of a message: in its response, in its receipt's text, in its receipt's TLV
HABITS: dict[str, tuple[Callable[[int], str], Callable[[int], str], Callable[[int], str], str]] = {
    "verbatim": (lambda n: f"m-{n:x}", lambda n: f"m-{n:x}", lambda n: f"m-{n:x}", "verbatim, id from the TLV"),
    "no TLV": (lambda n: f"{n:x}", lambda n: f"{n:x}", lambda n: "", "verbatim, id from the TLV"),
    "case": (
        lambda n: f"id{n:X}f", lambda n: f"id{n:x}f", lambda n: f"id{n:x}f", "any case, id from the TLV",
    ),
    "zeros": (
        lambda n: f"{n:010d}", lambda n: f"{n}", lambda n: f"{n}", "without leading zeros, id from the TLV",
    ),
    "zeros and case": (
        lambda n: f"{n:010X}", lambda n: f"{n:x}", lambda n: "", "any case, without leading zeros, id from the TLV",
    ),
    "jsmpp": (
        lambda n: f"{n:x}", lambda n: f"{n:010d}", lambda n: f"{n:x}x",
        "response hexadecimal, receipt decimal, id from the text",
    ),
    "hexadecimal receipts": (
        lambda n: f"{n}", lambda n: f"{n:x}", lambda n: "", "response decimal, receipt hexadecimal, id from the TLV",
    ),
    "another id in the TLV": (lambda n: f"{n}", lambda n: f"{n}", lambda n: f"{n + 7}", "verbatim, id from the text"),
}  # fmt: skip


def numbers(seed: int) -> list[int]:
    return [Random(seed + at).randrange(0xA000000, 0xFFFFFFF) for at in range(ENOUGH)]


def fed(name: str, seed: int, wrong: int = 0, strangers: int = 2) -> IdRuleLearner:
    response, text, tlv, _ = HABITS[name]
    random = Random(seed)
    learner = IdRuleLearner()
    everyone = numbers(seed)
    for at, number in enumerate(everyone):
        candidates = [ReceiptIds(text(number), tlv(number))] if at >= wrong else [ReceiptIds("lost", "lost")]
        others = random.sample(everyone, strangers)
        candidates += [ReceiptIds(text(other), tlv(other)) for other in others if abs(other - number) > 7]
        random.shuffle(candidates)
        learner.observe(response(number), candidates)
    return learner


@pytest.mark.parametrize("name", HABITS)
@pytest.mark.parametrize("seed", [1, 2000, 30000])
def test_each_habit_is_recognised_among_other_receipts(name: str, seed: int) -> None:
    proposal = fed(name, seed).propose()
    assert proposal is not None
    assert proposal.rule.name == HABITS[name][3]
    assert proposal.matched >= 990
    assert proposal.observed == 1000


@pytest.mark.parametrize("name", HABITS)
def test_a_profile_with_the_proposal_makes_both_forms_equal(name: str) -> None:
    response, text, tlv, _ = HABITS[name]
    proposal = fed(name, 1).propose()
    assert proposal is not None
    profile = proposal.rule.applied_to(PLAIN)
    for number in numbers(2)[:50]:
        tlvs = {TLV_RECEIPTED_MESSAGE_ID: tlv(number).encode() + b"\0"} if tlv(number) else {}
        pdu = DeliverSm(sequence_number=1, esm_class=4, short_message=f"id:{text(number)} ".encode(), tlvs=tlvs)
        raw = profile.read_receipt(pdu).carrier_message_id
        assert profile.canonical_id_from_receipt(raw) == profile.canonical_id_from_response(response(number))


def test_ten_of_a_thousand_may_be_wrong_and_not_eleven() -> None:
    assert fed("verbatim", 1, wrong=10, strangers=0).propose() is not None
    assert fed("verbatim", 1, wrong=11, strangers=0).propose() is None


def test_nothing_is_proposed_before_a_thousand() -> None:
    learner = IdRuleLearner()
    for number in range(ENOUGH - 1):
        learner.observe(str(number), [ReceiptIds(str(number))])
    assert learner.propose() is None
    learner.observe("x", [ReceiptIds("x")])
    assert learner.propose() is not None


def test_only_the_last_thousand_count() -> None:
    learner = fed("zeros", 1)
    response, text, tlv, name = HABITS["jsmpp"]
    for at, number in enumerate(numbers(3)):
        if at == 500:
            assert learner.propose() is None
        learner.observe(response(number), [ReceiptIds(text(number), tlv(number))])
    proposal = learner.propose()
    assert proposal is not None
    assert proposal.rule.name == name
    assert learner.observed == ENOUGH


def test_a_rule_that_finds_several_receipts_tells_nothing() -> None:
    learner = IdRuleLearner()
    for number in range(ENOUGH):
        learner.observe(f"0{number}", [ReceiptIds(f"0{number}"), ReceiptIds(f"00{number}")])
    proposal = learner.propose()
    assert proposal is not None
    assert proposal.rule.name == "verbatim, id from the TLV"
    assert learner.matched()["without leading zeros, id from the TLV"] == 0


def test_messages_without_id_or_receipt_do_not_count() -> None:
    learner = IdRuleLearner()
    learner.observe("", [ReceiptIds("1")])
    learner.observe("\0", [ReceiptIds("1")])
    learner.observe("1", [])
    learner.observe("1", [ReceiptIds("", "")])
    assert learner.observed == 0


ids = st.text("0aF-\0é", max_size=6)


@given(st.lists(st.tuples(ids, st.lists(st.builds(ReceiptIds, ids, ids), max_size=3)), max_size=30))
def test_counts_are_those_of_the_messages_observed(messages: list[tuple[str, list[ReceiptIds]]]) -> None:
    learner = IdRuleLearner()
    for response, candidates in messages:
        learner.observe(response, candidates)
    assert set(learner.matched()) == {rule.name for rule in RULES}
    assert all(0 <= count <= learner.observed <= len(messages) for count in learner.matched().values())


@given(st.lists(ids, min_size=1, max_size=5))
def test_ids_that_have_nothing_in_common_teach_nothing(responses: list[str]) -> None:
    learner = IdRuleLearner()
    for at in range(ENOUGH):
        learner.observe(f"a{responses[at % len(responses)]}{at}", [ReceiptIds(f"b-{at}-z")])
    assert learner.propose() is None

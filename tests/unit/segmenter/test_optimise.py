"""Traffic follows the answers, and no variant is ever lost from sight."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segmenter.domain.optimise import WHOLE, Answers, Bandit, Winner, all_to, thompson, trouble_with, winner
from segmenter.domain.variants import BUCKETS, Splitter, Variant, chooser, variant_by

arms = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.integers(0, 5000), st.integers(0, 5000)).map(lambda p: Answers(max(p), min(p))),
    min_size=2,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(arms, st.integers(0, 20), st.text(max_size=8))
def test_shares_make_the_whole_and_keep_the_floor_and_the_same_seed_gives_the_same(
    answers: dict[str, Answers], floor: int, seed: str
) -> None:
    shares = thompson(answers, list(answers), floor, seed)
    assert sum(shares.values()) == WHOLE
    assert all(share >= floor * WHOLE // 100 for share in shares.values())
    assert shares == thompson(answers, list(answers), floor, seed)


def test_what_is_clearly_better_gets_nearly_all_and_what_nobody_knows_is_shared_evenly() -> None:
    shares = thompson({"a": Answers(2000, 40), "b": Answers(2000, 160)}, ["a", "b"], 5, "s")
    assert shares == {"a": 500, "b": 9500}
    even = thompson({}, ["a", "b"], 5, "s")
    assert all(4000 < share < 6000 for share in even.values())


def test_the_bandit_loses_less_than_an_even_split_would() -> None:
    """Simulated days: rates of 2 % and 6 %, a split made anew each 500 messages."""
    dice, rates = random.Random(7), {"a": 0.02, "b": 0.06}
    known = {name: Answers(0, 0) for name in rates}
    for step in range(40):
        split = thompson(known, list(rates), 5, str(step))
        for _ in range(500):
            chosen = variant_by(split, 0, dice.randrange(BUCKETS))
            held = known[chosen]
            known[chosen] = Answers(held.messages + 1, held.answered + (dice.random() < rates[chosen]))
    assert known["b"].messages > 0.85 * 20_000
    assert known["a"].messages > 0.04 * 20_000


def test_the_winner_has_the_highest_rate_and_one_lucky_message_wins_nothing() -> None:
    assert winner({"a": Answers(100, 5), "b": Answers(100, 9)}, ["a", "b"]) == "b"
    assert winner({"a": Answers(100, 60), "b": Answers(1, 1), "c": Answers(0, 0)}, ["a", "b", "c"]) == "b"
    assert winner({"a": Answers(100, 90), "b": Answers(1, 1)}, ["a", "b"]) == "a"
    assert winner({}, ["a", "b"]) == "a"


def test_a_split_moves_variants_and_leaves_the_held_out_where_they_are() -> None:
    splitter, variants = Splitter(b"k" * 32), [Variant("a", "t", 50), Variant("b", "u", 30)]
    before = chooser(splitter, "acme", "c", variants, 20)
    after = chooser(splitter, "acme", "c", variants, 20, all_to("b"))
    for n in range(2000):
        if before(f"r{n}") == "holdout":
            assert after(f"r{n}") == "holdout"
        else:
            assert after(f"r{n}") == "b"


@given(st.integers(0, 50), st.integers(0, BUCKETS - 1), st.integers(0, WHOLE))
def test_every_bucket_has_a_variant(holdout: int, bucket: int, share: int) -> None:
    if bucket >= holdout * 100:
        assert variant_by({"a": share, "b": WHOLE - share}, holdout, bucket) in ("a", "b")


@pytest.mark.parametrize(
    ("optimise", "variants", "local"),
    [
        (Winner("clicked", 20), 1, False),
        (Winner("clicked", 20), 2, True),
        (Bandit("clicked", 40), 3, False),
    ],
)
def test_what_cannot_be_optimised_is_refused(optimise: Winner | Bandit, variants: int, local: bool) -> None:
    assert trouble_with(optimise, variants, local) is not None

"""Where a handset's part goes: a model of the table, and arrivals in any order."""

from hypothesis import given
from hypothesis import strategies as st
from smpp_connector.domain.long_messages import STOP_WAIT_MS, WAIT_MS, Known, place


class Table:
    """Rows of one peer and reference, as the adapter keeps them."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.rows: list[Known] = []
        self.told: list[list[tuple[int, str]]] = []

    def comes(self, part: int, digest: str, now: int, *, stops: bool = False) -> None:
        youngest = max((row.generation for row in self.rows), default=0)
        known = [row for row in self.rows if row.generation == youngest]
        found = place(known, part, digest, self.total, now, stops=stops)
        if found is None:
            return
        if found.ended is not None:
            self._all_due(found.ended, now)
        self.rows.append(Known(found.generation, part, digest, found.due, told=False))
        self._all_due(found.generation, found.due)

    def _all_due(self, generation: int, due: int) -> None:
        self.rows = [
            Known(r.generation, r.part, r.digest, due, told=False) if r.generation == generation and not r.told else r
            for r in self.rows
        ]

    def tell(self, now: int) -> None:
        for generation in sorted({r.generation for r in self.rows if not r.told and r.due <= now}):
            waiting = [r for r in self.rows if r.generation == generation and not r.told]
            self.told.append(sorted((r.part, r.digest) for r in waiting))
            self.rows = [
                Known(r.generation, r.part, r.digest, r.due, told=True) if r in waiting else r for r in self.rows
            ]


@given(st.permutations([1, 2, 3, 4]), st.lists(st.integers(1, 4), max_size=6))
def test_parts_in_any_order_and_repeated_are_told_once_when_the_last_has_come(
    order: list[int], repeats: list[int]
) -> None:
    table = Table(4)
    for at, part in enumerate([*order, *repeats]):
        table.comes(part, f"d{part}", at)
        table.tell(at)
        assert bool(table.told) == (at >= 3)
    assert table.told == [[(n, f"d{n}") for n in (1, 2, 3, 4)]]


def test_what_never_comes_is_waited_for_ten_minutes_and_a_late_part_is_told_alone() -> None:
    table = Table(2)
    table.comes(1, "a", 0)
    table.tell(WAIT_MS - 1)
    assert table.told == []
    table.tell(WAIT_MS)
    table.comes(2, "b", WAIT_MS + 1)
    table.comes(1, "a", WAIT_MS + 2)  # repeated by the carrier: known
    table.tell(WAIT_MS + 2)
    assert table.told == [[(1, "a")]]
    table.tell(2 * WAIT_MS + 1)
    assert table.told == [[(1, "a")], [(2, "b")]]


def test_a_stop_is_told_without_its_rest_and_in_whichever_order_it_comes() -> None:
    for first_at, rest_at in ((0, 10), (10, 0)):
        table = Table(3)
        arrivals = sorted([(first_at, 1), (rest_at, 2)])
        for at, part in arrivals:
            table.comes(part, f"d{part}", at, stops=part == 1)
        table.tell(first_at + STOP_WAIT_MS)
        assert table.told == [[(1, "d1"), (2, "d2")]]


def test_a_reference_that_is_used_again_begins_another_message_and_ends_the_one_before() -> None:
    table = Table(2)
    table.comes(1, "a", 0)
    table.comes(1, "x", 5)
    table.tell(5)
    assert table.told == [[(1, "a")]]
    table.comes(2, "y", 6)
    table.tell(6)
    table.comes(2, "z", 7)
    table.comes(1, "x", 8)
    table.tell(8)
    assert table.told == [[(1, "a")], [(1, "x"), (2, "y")], [(1, "x"), (2, "z")]]


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abc"), st.integers(0, WAIT_MS)), max_size=30))
def test_nothing_that_comes_is_lost_and_nothing_waits_for_ever(arrivals: list[tuple[int, str, int]]) -> None:
    table, now = Table(3), 0
    for part, digest, step in arrivals:
        now += step
        table.tell(now)
        table.comes(part, digest, now)
    table.tell(now + WAIT_MS)
    assert all(row.told for row in table.rows)
    assert {(p, d) for group in table.told for p, d in group} == {(p, d) for p, d, _ in arrivals}

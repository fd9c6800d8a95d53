"""A sender keeps to its rate, whatever others send; receipts' delay is measured by our own clock."""

from hypothesis import given
from hypothesis import strategies as st
from shared.contracts.topics import Lane
from smpp_connector.domain.pace import Pace
from smpp_connector.domain.receipt_delay import MOST_IDS, PATIENCE_S, ReceiptDelay
from smpp_connector.domain.sender_pace import BURST_S, SenderPace
from smpp_connector.domain.waiting_room import WaitingRoom
from smpp_connector.domain.window import Window, take_batch
from smpp_connector_makers import waiting


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 4)), min_size=1, max_size=60), st.floats(1, 100))
def test_in_no_stretch_of_time_a_sender_gets_more_than_its_rate_and_one_burst(
    arrivals: list[tuple[float, int]], rate: float
) -> None:
    pace, now = SenderPace(rate), 0.0
    turns: list[tuple[float, int]] = []
    for step, parts in arrivals:
        now += step
        turns.append((max(now, pace.turn("a", parts, now)), parts))
    for first in range(len(turns)):
        for last in range(first, len(turns)):
            spent = sum(parts for _, parts in turns[first:last])  # the last one's own tokens may be owed
            assert spent <= rate * (turns[last][0] - turns[first][0] + BURST_S) + 1e-6


def test_senders_do_not_share() -> None:
    pace = SenderPace(1.0)
    assert [pace.turn("a", 1, 0.0), pace.turn("a", 1, 0.0), pace.turn("b", 1, 0.0)] == [0.0, 1.0 - BURST_S, 0.0]


def test_one_without_tokens_waits_for_its_turn_and_others_go_ahead_of_it() -> None:
    room, window, pace, senders = WaitingRoom(), Window(10), Pace(1000, 0.0), SenderPace(2.0)
    for number, sender in enumerate(["a", "a", "a", "b"]):
        room.push(waiting(offset=number, contact_id=str(number), sender=sender))

    def taken(now: float) -> list[int]:
        batch = take_batch(room, window, pace, now, bulk_allowed=True, senders=senders)
        for record in batch:
            room.done(record)
        return [record.offset for record in batch]

    assert taken(0.0) == [0, 3]
    assert room.waiting(Lane.BULK) == 2
    assert room.next_due == 0.5 - BURST_S
    assert taken(0.2) == []
    assert taken(0.5) == [1]
    assert taken(1.0) == [2]


def test_the_delay_is_from_the_answer_to_the_first_final_receipt() -> None:
    delay = ReceiptDelay()
    delay.taken("a", 10.0)
    delay.taken("b", 10.0)
    delay.receipt("a", 11.0)
    delay.receipt("a", 50.0)
    delay.receipt("stranger", 50.0)
    delay.receipt("b", 12.0)
    assert delay.take() == 1500
    assert delay.take() is None


def test_ids_without_receipts_make_room_in_time() -> None:
    delay = ReceiptDelay()
    for number in range(MOST_IDS + 1):
        delay.taken(str(number), 0.0)
    delay.receipt(str(MOST_IDS), 1.0)
    assert delay.take() is None
    delay.taken("late", PATIENCE_S)
    delay.receipt("late", PATIENCE_S + 1)
    assert delay.take() == 1000

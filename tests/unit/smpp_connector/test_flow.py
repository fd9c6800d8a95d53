"""Window, tokens, lanes, and one message at a time for each contact, whatever happens in which order."""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from shared.contracts.topics import Lane
from smpp_connector.domain.pace import Pace
from smpp_connector.domain.waiting_room import LANES, Place, Waiting, WaitingRoom
from smpp_connector.domain.window import RESERVE_FOR_S, Window, take_batch
from smpp_connector_makers import waiting

PURPOSES = st.sampled_from(["marketing", "marketing", "otp", "transactional"])


class Flow(RuleBasedStateMachine):
    """A model beside the real thing: what was pushed, what is on the wire, what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.room = WaitingRoom()
        self.window = Window(10)
        self.pace = Pace(200.0, self.now)
        self.place = Place("first")
        self.pushed: dict[tuple[Lane, str], list[Waiting]] = defaultdict(list)  # not done, oldest first
        self.wire: list[Waiting] = []
        self.offset = 0

    @rule(contact=st.sampled_from("abcd"), purpose=PURPOSES, parts=st.integers(1, 12))
    def push(self, contact: str, purpose: str, parts: int) -> None:
        record = waiting(self.place, self.offset, contact_id=contact, purpose=purpose, parts=parts)
        self.offset += 1
        self.room.push(record)
        self.pushed[record.lane, contact].append(record)

    @rule(passed=st.floats(0, 0.5), bulk=st.booleans())
    def take(self, passed: float, bulk: bool) -> None:
        self.now += passed
        for record in take_batch(self.room, self.window, self.pace, self.now, bulk_allowed=bulk):
            assert bulk or record.lane is Lane.NOW
            assert record.contact_id not in {r.contact_id for r in self.wire}
            assert self.pushed[record.lane, record.contact_id][0] is record, "a younger one overtook"
            self.wire.append(record)

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if self.wire:
            record = data.draw(st.sampled_from(self.wire))
            self.wire.remove(record)
            self.pushed[record.lane, record.contact_id].remove(record)
            self.window.vacate(record.room)
            self.room.done(record)

    @rule(data=st.data(), pause=st.one_of(st.none(), st.floats(0, 2)))
    def put_back(self, data: st.DataObject, pause: float | None) -> None:
        if self.wire:
            record = data.draw(st.sampled_from(self.wire))
            self.wire.remove(record)
            self.window.vacate(record.room)
            self.room.put_back(record, None if pause is None else self.now + pause)
            if not record.place.alive:
                self.pushed[record.lane, record.contact_id].remove(record)

    @rule()
    def throttle(self) -> None:
        self.pace.throttled(self.now)

    @rule()
    def lose_the_partition(self) -> None:
        self.room.leave(self.place)
        for chain in self.pushed.values():
            chain[:] = [r for r in chain if r in self.wire]
        self.place = Place("next")

    @invariant()
    def the_window_holds(self) -> None:
        assert 0 <= self.window.used <= self.window.size
        assert self.window.used == sum(min(r.room, self.window.size) for r in self.wire)

    @invariant()
    def the_room_counts_right(self) -> None:
        for lane in LANES:
            model = sum(len(chain) for (its, _), chain in self.pushed.items() if its is lane)
            assert self.room.waiting(lane) == model - sum(r.lane is lane for r in self.wire)

    def teardown(self) -> None:
        """Whatever happened, everything that waits comes out in the end."""
        while self.wire:
            record = self.wire.pop()
            self.pushed[record.lane, record.contact_id].remove(record)
            self.window.vacate(record.room)
            self.room.done(record)
        for _ in range(2000):
            self.take(0.5, True)
            for record in list(self.wire):
                self.wire.remove(record)
                self.pushed[record.lane, record.contact_id].remove(record)
                self.window.vacate(record.room)
                self.room.done(record)
            if not len(self.room):
                break
        assert not len(self.room)
        assert not any(self.pushed.values())


TestFlow = Flow.TestCase
TestFlow.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_bulk_leaves_a_tenth_of_the_window_and_tokens_to_the_codes_while_codes_come() -> None:
    room, window, pace = WaitingRoom(), Window(50), Pace(100_000.0, 0.0)
    for i in range(200):
        room.push(waiting(contact_id=f"m{i}"))
    room.push(waiting(contact_id="o", purpose="otp"))
    assert len(take_batch(room, window, pace, 0.0, bulk_allowed=True)) == 45
    for i in range(10):
        room.push(waiting(contact_id=f"o{i}", purpose="otp"))
    assert len(take_batch(room, window, pace, 0.0, bulk_allowed=True)) == 5
    assert not take_batch(room, window, pace, RESERVE_FOR_S - 0.1, bulk_allowed=True)
    slow, window = Pace(40.0, 0.0), Window(50)
    take_batch(room, window, slow, 0.0, bulk_allowed=True)
    assert slow.available(bulk=True) <= 0


def test_a_campaign_alone_has_the_whole_window_and_the_next_code_the_next_place_in_it() -> None:
    room, window, pace = WaitingRoom(), Window(50), Pace(100_000.0, 0.0)
    for i in range(200):
        room.push(waiting(contact_id=f"m{i}"))
    taken = take_batch(room, window, pace, 0.0, bulk_allowed=True)
    assert len(taken) == 50
    room.push(waiting(contact_id="o", purpose="otp"))
    assert not take_batch(room, window, pace, 0.1, bulk_allowed=True)
    for record in taken[:8]:
        window.vacate(1)
        room.done(record)
    assert [r.lane for r in take_batch(room, window, pace, 0.2, bulk_allowed=True)] == [Lane.NOW, *[Lane.BULK] * 2]


def test_a_code_finds_a_token_although_a_campaign_takes_all_it_may() -> None:
    room, window, pace = WaitingRoom(), Window(50), Pace(40.0, 0.0)
    for i in range(100):
        room.push(waiting(contact_id=f"m{i}"))
    taken = take_batch(room, window, pace, 0.0, bulk_allowed=True)
    assert {r.lane for r in taken} == {Lane.BULK}
    room.push(waiting(contact_id="o", purpose="otp"))
    assert [r.lane for r in take_batch(room, window, pace, 0.0, bulk_allowed=True)] == [Lane.NOW]


def test_a_message_larger_than_the_window_waits_for_it_and_then_has_it_alone() -> None:
    room, window, pace = WaitingRoom(), Window(4), Pace(1000.0, 0.0)
    room.push(waiting(contact_id="short"))
    room.push(waiting(contact_id="long", parts=9))
    room.push(waiting(contact_id="after"))
    first = take_batch(room, window, pace, 0.0, bulk_allowed=True)
    assert [r.contact_id for r in first] == ["short"]
    window.vacate(1)
    room.done(first[0])
    assert [r.contact_id for r in take_batch(room, window, pace, 1.0, bulk_allowed=True)] == ["long"]
    assert window.free == 0


def test_a_code_behind_marketing_of_the_same_contact_goes_first_when_the_wire_is_free() -> None:
    room, window, pace = WaitingRoom(), Window(10), Pace(1000.0, 0.0)
    offer = waiting(contact_id="c")
    room.push(offer)
    assert take_batch(room, window, pace, 0.0, bulk_allowed=True) == [offer]
    code, next_offer = waiting(contact_id="c", purpose="otp"), waiting(contact_id="c")
    room.push(next_offer)
    room.push(code)
    assert take_batch(room, window, pace, 0.1, bulk_allowed=True) == []
    window.vacate(1)
    room.done(offer)
    assert take_batch(room, window, pace, 0.2, bulk_allowed=True) == [code]


def test_what_was_asked_for_without_an_answer_and_then_let_go_is_remembered() -> None:
    room, window, pace = WaitingRoom(), Window(10), Pace(1000.0, 0.0)
    place = Place("p")
    record = waiting(place)
    room.push(record)
    take_batch(room, window, pace, 0.0, bulk_allowed=True)
    record.unheard = (7,)
    room.put_back(record, 5.0)
    room.leave(place)
    assert room.abandoned == [record]

import random
from collections import Counter
from uuid import UUID

import pytest
from console.smsc import Behaviour, Delay, Outcome, SubmitError
from console.smsc.choose_outcome import Choices
from console.smsc.gsm_alphabet import gsm_units
from console.smsc.history import History, Remembered, Repeats
from console.smsc.inbound_message import inbound_parts
from console.smsc.message_ids import first_number, id_formatter
from console.smsc.pdu import Submit
from console.smsc.receipt_text import first_characters, receipt_parameters, receipt_text, wants_receipt
from console.smsc.sampling import draw, lognormal
from console.smsc.schedule import Schedule
from console.smsc.throttle import TokenBucket
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("style", "width", "expected"),
    [
        ("hex", 8, b"39f99dd5"),
        ("HEX", 0, b"39F99DD5"),
        ("decimal", 0, b"972660181"),
        ("decimal", 10, b"0972660181"),
    ],
)
def test_one_number_is_written_as_its_id_style_says(style, width, expected):
    assert id_formatter(style, width)(0x39F99DD5) == expected


def test_a_uuid_id_is_the_same_for_the_same_number_and_another_for_the_next():
    format_id = id_formatter("uuid", 0)
    assert UUID(format_id(1).decode()).version == 4
    assert format_id(1) == format_id(1) != format_id(2)


def test_ids_without_a_seed_do_not_come_back_after_a_restart():
    assert first_number(None, now=1_800_000_001.0) - first_number(None, now=1_800_000_000.0) >= 25_000
    assert first_number(5, now=1.0) == first_number(5, now=2.0)


def test_receipt_text_is_the_example_of_the_specification():
    # 2026-03-01 23:59:30 UTC and 40 s later, in a zone one hour ahead
    text = receipt_text(b"0972660181", 1772409570.0, 1772409610.0, 3600, "UNDELIV", "011", b"Bonjour")
    assert text == (
        b"id:0972660181 sub:001 dlvrd:000 submit date:2603020059 done date:2603020100 stat:UNDELIV err:011 text:Bonjour"
    )


def test_receipt_parameters_carry_id_state_and_network_error():
    assert receipt_parameters(b"ab", "EXPIRED", "027").hex() == "001e0003616200" + "0427000103" + "0423000303001b"


@pytest.mark.parametrize(
    ("registered", "stat", "wanted"),
    [
        (0, "DELIVRD", False),
        (0, "UNDELIV", False),
        (1, "DELIVRD", True),
        (1, "UNDELIV", True),
        (2, "DELIVRD", False),
        (2, "UNDELIV", True),
        (0x11, "DELIVRD", True),
    ],
)
def test_a_receipt_goes_out_only_if_it_was_asked_for(registered, stat, wanted):
    assert wants_receipt(registered, stat) is wanted


def test_a_receipt_repeats_text_without_header_and_nothing_of_ucs2():
    assert first_characters(b"\x05\x00\x03\x01\x02\x01abcdef", 0x40, 0, 4) == b"abcd"
    assert first_characters("Привет".encode("utf-16-be"), 0, 8, 20) == b""


def test_a_lognormal_delay_has_its_median_and_its_p99():
    quantiles = lognormal(2.0, 8.0)
    assert draw(quantiles, 0.5) == pytest.approx(2.0, rel=0.01)
    assert draw(quantiles, 0.99) == pytest.approx(8.0, rel=0.02)
    assert draw(quantiles, 0.01) == pytest.approx(0.5, rel=0.02)
    assert draw(lognormal(2.0, 2.0), 0.7) == 2.0


def test_demo_outcomes_come_in_the_shares_that_the_documentation_names():
    choices = Choices(Behaviour())
    chance = random.Random(1).random
    ends: Counter[str] = Counter()
    for _ in range(50_000):
        refused = choices.refusal(b"33600000001", chance())
        ends[f"0x{refused:02X}" if refused else choices.fate(b"33600000001", chance(), chance()).stat] += 1
    shares = {end: round(100 * count / 50_000) for end, count in ends.items()}
    assert shares == {"DELIVRD": 92, "UNDELIV": 4, "EXPIRED": 2, "NONE": 1, "0x0B": 1}


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_an_outcome_bound_to_a_destination_is_the_only_one_there_and_happens_nowhere_else(u_outcome, u_detail):
    choices = Choices(
        Behaviour(
            outcomes=(
                Outcome(stat="DELIVRD"),
                Outcome(stat="UNDELIV", err=("007",), destination_ends="9", delay=Delay(constant=1.5)),
            )
        )
    )
    assert choices.fate(b"339", u_outcome, u_detail) == ("UNDELIV", "007", 1.5)
    assert choices.fate(b"331", u_outcome, u_detail).stat == "DELIVRD"


def test_a_status_bound_to_a_destination_refuses_only_that():
    choices = Choices(Behaviour(errors=(SubmitError(status=0x45, destination_ends="00"),)))
    assert choices.refusal(b"33100", 0.99) == 0x45
    assert choices.refusal(b"33101", 0.0) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors": [{"status": 20, "share": 0.7}, {"status": 88, "share": 0.7}]},
        {"outcomes": [{"stat": "DELIVERED"}]},
        {"outcomes": [{"stat": "DELIVRD", "weight": 0}]},
        {"outcomes": []},
        {"outcomes": [{"stat": "DELIVRD", "err": ["x"]}]},
        {"latency": {"median": 2, "low": 1}},
        {"latency": {"median": 3, "p99": 2}},
        {"latency": -1},
        {"latencies": 1},
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Behaviour().changed(wrong)


def test_a_change_of_behaviour_leaves_the_rest_as_it_was():
    behaviour = Behaviour().changed({"latency": 0.2}).changed({"throttle": {"rate": 50}})
    assert behaviour.latency == Delay(constant=0.2)
    assert behaviour.throttle.rate == 50
    assert behaviour.outcomes == Behaviour().outcomes


@given(st.lists(st.floats(0, 50)), st.lists(st.floats(0, 60)))
def test_a_schedule_gives_everything_back_once_in_time_and_never_early(dues, moments):
    schedule: Schedule[float] = Schedule()
    for due in dues:
        schedule.add(due, due)
    given_back = []
    for now in sorted(moments):
        batch = schedule.take_due(now)
        assert all(due <= now for due in batch)
        given_back += batch
        assert all(due > now - 0.0051 for due in dues if due not in given_back)
    assert sorted(given_back + schedule.take_due(100.0)) == sorted(dues)
    assert len(schedule) == 0
    assert schedule.next_due() is None


def test_the_throttle_grants_its_rate_after_its_burst():
    bucket = TokenBucket(rate=50, burst=10, now=0.0)
    assert sum(bucket.take(0.0) for _ in range(100)) == 10
    assert sum(bucket.take(1.0 + i / 1000) for i in range(1000)) in range(58, 61)
    assert all(TokenBucket(rate=0, burst=1, now=0.0).take(0.0) for _ in range(100))


def _reassembled(parts):
    pieces = [part.octets[part.octets[0] + 1 :] if part.esm_class & 0x40 else part.octets for part in parts]
    if parts[0].data_coding == 8:
        for piece in pieces:
            piece.decode("utf-16-be")  # each part is whole on its own
        return b"".join(pieces).decode("utf-16-be")
    assert not any(piece.endswith(b"\x1b") for piece in pieces)
    return b"".join(pieces)


@given(st.text(alphabet="aé€[]ß\n@", min_size=1, max_size=800), st.sampled_from([8, 16]))
def test_a_gsm_text_survives_the_cut_and_no_escape_pair_is_parted(text, bits):
    parts = inbound_parts(text, "gsm", True, 0x1234, bits)
    assert _reassembled(parts) == b"".join(gsm_units(text) or [])
    assert all(len(part.octets) <= 160 for part in parts)


@given(st.text(alphabet="жa😀", min_size=1, max_size=500), st.sampled_from([8, 16]))
def test_a_ucs2_text_survives_the_cut_and_no_surrogate_pair_is_parted(text, bits):
    parts = inbound_parts(text, "ucs2", True, 0x1234, bits)
    assert _reassembled(parts) == text
    assert all(len(part.octets) <= 140 for part in parts)


def test_inbound_parts_number_themselves_in_their_headers():
    narrow = inbound_parts("x" * 161, "auto", True, 0x1234, 8)
    assert [part.octets[:6].hex() for part in narrow] == ["050003340201", "050003340202"]
    wide = inbound_parts("x" * 161, "auto", True, 0x1234, 16)
    assert [part.octets[:7].hex() for part in wide] == ["06080412340201", "06080412340202"]


def test_a_long_inbound_text_left_whole_goes_into_message_payload():
    (part,) = inbound_parts("x" * 161, "auto", False, 1, 8)
    assert (part.esm_class, part.octets, part.parameters) == (0, b"", b"\x04\x24\x00\xa1" + b"x" * 161)


def test_a_text_outside_the_gsm_alphabet_is_refused_as_gsm_and_auto_sends_ucs2():
    with pytest.raises(ValueError, match="GSM alphabet"):
        inbound_parts("ж", "gsm", True, 1, 8)
    assert inbound_parts("ж", "auto", True, 1, 8)[0].data_coding == 8


def _row(text: bytes = b"x") -> Remembered:
    return Remembered(1.0, 1, 2, _submit(text), 0, b"ab", "DELIVRD", "000")


def _submit(text: bytes) -> Submit:
    return Submit(b"\x05\x00Relais\0", b"\x01\x0133600000001\0", 0, 1, 0, text, None)


@pytest.mark.parametrize(("bound", "remembered"), [(None, range(50)), (10, range(40, 50)), (0, range(50, 50))])
def test_a_history_remembers_its_bound_and_keeps_counting(bound, remembered):
    history = History(bound)
    for _ in range(50):
        history.add(_row())
    assert len(history) == 50
    assert history.first <= remembered.start
    assert len(history.rows(remembered.start)) == len(remembered)
    assert bound is None or len(history.rows()) <= 2 * bound


def test_history_pages_join_without_gap_or_overlap():
    history = History(None)
    for i in range(25):
        history.add(_row(b"%d" % i))
    pages = [b"".join(history.ndjson(since, 10, chunk=3)) for since in (0, 10, 20)]
    assert b"".join(pages) == b"".join(history.ndjson(0, 1000))
    assert b"".join(pages).count(b"\n") == 25


def test_equal_submits_are_repeats_and_others_are_not():
    repeats = Repeats(100)
    assert not repeats.seen(_submit(b"a"))
    assert not repeats.seen(_submit(b"b"))
    assert repeats.seen(_submit(b"a"))

"""A report's numbers become a rate, a time left and an end."""

from relais_local.demo.progress import QUIET_S, Progress, has_ended, rate, read_progress, seconds_left

REPORT = {
    "audience": 1000,
    "accepted": 900,
    "dropped": {"no_consent": 80, "opted_out": 20},
    "submitted": 800,
    "delivered": 500,
    "failed": {"undelivered": 30},
    "pending": 370,
}


def test_reasons_are_added_up() -> None:
    progress = read_progress(REPORT, 3.0)
    assert (progress.dropped, progress.failed, progress.decided, progress.total) == (100, 30, 630, 1000)


def test_report_that_is_not_there_yet_is_all_zero() -> None:
    assert read_progress({}, 0.5) == Progress(0.5)


def test_rate_and_time_left_follow_the_last_five_seconds() -> None:
    history = [Progress(float(second), audience=1000, delivered=second * 50) for second in range(11)]
    assert rate(history) == 50
    assert seconds_left(history) == 10


def test_nothing_moves_so_no_time_is_promised() -> None:
    assert rate([Progress(1.0)]) == 0
    assert seconds_left([Progress(1.0, audience=10), Progress(2.0, audience=10)]) is None


def test_it_has_ended_when_all_are_decided() -> None:
    assert has_ended([Progress(5.0, audience=10, delivered=8, dropped=1, failed=1)])
    assert not has_ended([Progress(5.0, audience=10, delivered=8, dropped=1)])


def test_an_empty_report_is_no_end() -> None:
    assert not has_ended([])
    assert not has_ended([Progress(at=100.0)])


def test_receipts_that_never_come_do_not_hold_it_up_for_long() -> None:
    still = [Progress(at, audience=100, submitted=99, delivered=98) for at in (0.0, QUIET_S - 1)]
    assert not has_ended(still)
    assert has_ended([*still, Progress(QUIET_S, audience=100, submitted=99, delivered=98)])


def test_a_silence_in_the_middle_is_no_end() -> None:
    assert not has_ended([Progress(at, audience=100, submitted=50, delivered=50) for at in (0.0, 60.0)])

"""The worker's own book: which receivers are its to call, and what it asks of the queue. The queue is a fake."""

from typing import Any

import pytest
from dlr_processor.adapters import callback_queue
from dlr_processor.callbacks import CallbackWorker
from shared.telemetry.metrics import Metrics

NOW = 1_800_000_000_000


class Leases:
    """What the table answers; who else has which receiver."""

    def __init__(self) -> None:
        self.others: set[str] = set()
        self.asked: list[list[str]] = []

    async def lease(self, _: Any, wanted: Any, owner: str, now: int) -> set[str]:
        self.asked.append(sorted(wanted))
        return set(wanted) - self.others


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> Leases:
    found = Leases()
    monkeypatch.setattr(callback_queue, "lease", found.lease)
    return found


def worker() -> CallbackWorker:
    return CallbackWorker(None, None, None, Metrics("test"), lambda: NOW)  # type: ignore[arg-type]


async def test_a_receiver_of_another_worker_is_left_to_it_and_asked_for_again(leases: Leases) -> None:
    mine = worker()
    leases.others = {"theirs"}
    assert await mine._leased(None, {"ours": 5, "theirs": 7}, NOW) == {"ours": 5}
    leases.others = set()
    assert await mine._leased(None, {"ours": 5, "theirs": 7}, NOW + 1) == {"ours": 5, "theirs": 7}
    assert leases.asked == [["ours", "theirs"], ["theirs"]]


async def test_a_lease_is_renewed_well_before_its_end_and_given_up_when_somebody_has_taken_it(leases: Leases) -> None:
    mine = worker()
    await mine._leased(None, {"ours": 5}, NOW)
    soon = NOW + callback_queue.LEASE_MS - callback_queue.RENEW_MS
    assert await mine._leased(None, {"ours": 5}, soon) == {"ours": 5}
    assert len(leases.asked) == 1
    leases.others = {"ours"}
    assert await mine._leased(None, {"ours": 5}, soon + 1) == {}
    assert len(leases.asked) == 2

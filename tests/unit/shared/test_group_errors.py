"""An OffsetFetch answer that says "I am loading" is an error, not "nothing was ever committed"."""

from types import SimpleNamespace
from typing import Any

import aiokafka.consumer.consumer as aiokafka_consumer
import pytest
import shared.kafka.consumer  # noqa: F401 - mends the library
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupLoadInProgressError, NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchRequest
from shared.kafka.group_errors import HeedfulCoordinator


@pytest.mark.parametrize(
    ("code", "error", "dead"), [(14, GroupLoadInProgressError, False), (16, NotCoordinatorForGroupError, True)]
)
async def test_an_error_at_the_top_of_the_answer_is_raised(
    code: int, error: type[Exception], dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(self: Any, request: Any) -> Any:
        return SimpleNamespace(topics=[], error_code=code)

    died = []
    monkeypatch.setattr(GroupCoordinator, "_send_req", answer)
    coordinator = object.__new__(HeedfulCoordinator)
    monkeypatch.setattr(HeedfulCoordinator, "coordinator_dead", lambda self: died.append(True))
    with pytest.raises(error):
        await coordinator._send_req(OffsetFetchRequest("g", [("t", [0])]))
    assert bool(died) is dead


def test_every_consumer_uses_it() -> None:
    assert aiokafka_consumer.GroupCoordinator is HeedfulCoordinator

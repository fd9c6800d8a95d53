"""A message that segmenter holds for a person is told of, and never routed."""

from typing import Any

from router.handlers import RouteMessages
from shared.contracts.events import MessagePrepared
from shared.contracts.topics import Lane
from shared.kafka.consumer import Received


class Nobody:
    """Stands for all that is not asked."""

    def hold(self, lane: Lane, marketing: bool) -> None:
        return None

    async def decide(self, messages: list[Any], lane: Lane, now: int) -> tuple[Any, list[Any]]:
        assert messages == [], "a held message was routed"
        return self, []

    def record(self, *_: Any) -> Any:
        raise AssertionError("a held message was published")

    async def publish(self, records: list[Any]) -> None:
        assert records == []

    def add(self, decisions: list[Any]) -> None:
        assert decisions == []


async def test_a_held_message_is_passed_over() -> None:
    event = MessagePrepared(
        event_id="m:held", tenant_id="acme", occurred_at=0, message_id="m", contact_id="n", number_hash="h", purpose="marketing",
        number=b"", text=b"", encoding="gsm7", parts=1, country="FR", prefix="3361200", not_after=1000, accepted_at=0, verdict="hold",
    )  # fmt: skip
    nobody: Any = Nobody()
    await RouteMessages(Lane.BULK, nobody, nobody, nobody, nobody, nobody, lambda: 1).handle(
        [Received("t", 0, 0, b"", 0, (), event)]
    )

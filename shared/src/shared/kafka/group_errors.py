"""Mends one fault of aiokafka 0.14: it overlooks the error that stands above all partitions in an OffsetFetch answer.

From version 2 of that answer on (KIP-88) a group coordinator that is loading or has moved says so once, at the top, with
no partition below. aiokafka reads only the partitions, takes their absence for "nothing was ever committed", and a
consumer then starts at the beginning, at the end, or, as here, stops. The mend is a coordinator that looks at the top.
"""

from typing import Any

import aiokafka.consumer.consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest


class HeedfulCoordinator(GroupCoordinator):  # type: ignore[misc]
    """Raises what the answer says at its top; the callers retry retriable errors already."""

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        if isinstance(request, OffsetFetchRequest):
            code = getattr(response, "error_code", 0)
            if code:
                error = for_code(code)
                if error in (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError):
                    self.coordinator_dead()
                raise error()
        return response


def mend() -> None:
    """Makes every AIOKafkaConsumer of this process use the heedful coordinator."""
    aiokafka_consumer.GroupCoordinator = HeedfulCoordinator

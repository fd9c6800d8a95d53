"""Records as the tests of the connector need them."""

import itertools
from typing import Any

from shared.contracts.events import SubmitRequested
from shared.contracts.topics import Lane, lane_of
from smpp_connector.domain.waiting_room import Place, Waiting

_ids = itertools.count(1)
HOUR_MS = 3_600_000


def request(**more: Any) -> SubmitRequested:
    message_id = more.pop("message_id", None) or f"00000000-0000-8000-8000-{next(_ids):012x}"
    values: dict[str, Any] = {
        "event_id": f"{message_id}:1", "tenant_id": "acme", "occurred_at": 0, "message_id": message_id, "contact_id": "c", "number_hash": "h",
        "purpose": "marketing", "number": b"", "text": b"", "encoding": "gsm7", "parts": 1, "country": "FR", "prefix": "336", "not_after": HOUR_MS,
        "accepted_at": 0, "attempt": 1, "carrier": "mercure", "price": 45_000, "currency": "EUR", "decision": "least_cost",
    }  # fmt: skip
    return SubmitRequested(**{**values, **more})


def waiting(place: Place | None = None, offset: int = 0, **more: Any) -> Waiting:
    asked = request(**more)
    lane: Lane = lane_of(asked.purpose)
    return Waiting(asked, lane, place or Place("p"), offset, ())

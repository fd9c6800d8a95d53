"""RFM classes, campaigns as filters see them, what is kept how long."""

import msgspec
import pytest
from segmenter.domain.retention import RETENTION, first_day_kept
from segmenter.domain.rfm import CLASSES, class_of
from segmenter.handlers.note_campaigns import mark_of
from shared.contracts.events import MessageStatus
from shared.links.codes import recipient_of

MESSAGE = "6650e3a2-1234-8abc-9def-0123456789ab"


@pytest.mark.parametrize(
    ("r", "f", "m", "expected"),
    [
        (5, 5, 5, "champions"), (4, 4, 2, "loyal"), (3, 3, 1, "loyal"), (5, 1, 1, "new"), (3, 2, 1, "promising"),
        (1, 4, 1, "at risk"), (2, 1, 5, "at risk"), (1, 1, 1, "lost"),
    ],
)  # fmt: skip
def test_a_buyer_has_the_class_of_their_scores(r: int, f: int, m: int, expected: str) -> None:
    assert class_of(r, f, m) == expected


def test_every_score_has_a_class_that_filters_know() -> None:
    found = {class_of(r, f, m) for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)}
    assert found == set(CLASSES)


def status(**fields: object) -> MessageStatus:
    told = {
        "event_id": "e", "tenant_id": "t", "occurred_at": 7, "message_id": MESSAGE, "version": 1, "status": "delivered", "states": [],
        "final": True, "purpose": "marketing", "contact_ref": "ann", "campaign_id": "spring", "accepted_at": 1,
    }  # fmt: skip
    return MessageStatus(**{**told, **fields})  # type: ignore[arg-type]


def test_a_campaign_is_got_once_a_carrier_took_the_message() -> None:
    delivered = mark_of(status())
    assert delivered is not None
    assert (delivered.delivered_at, delivered.recipient) == (7, recipient_of(MESSAGE))
    sent = mark_of(status(status="submitted"))
    assert sent is not None
    assert sent.delivered_at is None
    for nothing in ({"status": "dropped"}, {"status": "prepared"}, {"campaign_id": None}, {"contact_ref": None}):
        assert mark_of(status(**nothing)) is None


def test_retention_counts_whole_days_and_refuses_none_at_all() -> None:
    assert first_day_kept(30, 100 * 86_400_000 + 5) == 70
    with pytest.raises(msgspec.ValidationError):
        RETENTION.decode(b'{"idle_days": 0}')

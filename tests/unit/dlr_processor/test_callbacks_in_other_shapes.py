"""Each shape says what its receivers expect to read, for every state, and leaves out what it has no word for."""

import base64
import hmac
import json
from hashlib import sha1
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from dlr_processor.domain.fold import fold
from dlr_processor.domain.shapes import SHAPES, Call, Item, call_of
from dlr_processor.domain.states import RANK
from dlr_processor.domain.tell import callback_body
from unit.dlr_processor import ledger_events as e

URL = "https://shop.example/hook"


def item(*facts: Any, webhook_id: str = "msg_1") -> Item:
    change = fold(None, {}, [e.prepared(), *facts], e.T0 + 5_000)
    return Item(webhook_id, json.dumps(callback_body(change)))


SUBMITTED = item(e.submitted())
DELIVERED = item(e.submitted(), e.matched(e.receipt()))
EXPIRED = item(e.submitted(), e.matched(e.receipt(state="expired")))
UNDELIVERED = item(e.submitted(), e.matched(e.receipt(state="undelivered", reason="invalid_number")))
REJECTED = item(e.submitted(outcome="rejected", ids=(None,), statuses=(11,)))
OPTED_OUT = item(e.dropped(reason="opted_out"))
WAITING = item()


def form(call: Call | None) -> dict[str, str]:
    assert call is not None
    return dict(parse_qsl(call.body, strict_parsing=True))


@pytest.mark.parametrize(
    ("told", "status", "error"),
    [
        (SUBMITTED, "sent", None), (DELIVERED, "delivered", None), (EXPIRED, "undelivered", "30003"),
        (UNDELIVERED, "undelivered", "30005"), (REJECTED, "failed", "30008"), (OPTED_OUT, "failed", "21610"),
        (WAITING, "queued", None),
    ],
)  # fmt: skip
def test_twilio(told: Item, status: str, error: str | None) -> None:
    call = call_of("twilio", 1, URL, [told], "secret")
    fields = form(call)
    assert (fields["MessageStatus"], fields.get("ErrorCode"), fields["MessageSid"]) == (status, error, e.MESSAGE)
    signed = URL + "".join(name + fields[name] for name in sorted(fields))
    expected = base64.b64encode(hmac.new(b"secret", signed.encode(), sha1).digest()).decode()
    assert call is not None
    assert call.headers["X-Twilio-Signature"] == expected


@pytest.mark.parametrize(
    ("told", "name", "permanent"),
    [
        (SUBMITTED, "PENDING_ENROUTE", False), (DELIVERED, "DELIVERED_TO_HANDSET", False),
        (EXPIRED, "EXPIRED_EXPIRED", False), (UNDELIVERED, "UNDELIVERABLE_NOT_DELIVERED", True),
        (OPTED_OUT, "REJECTED_DND", True),
    ],
)  # fmt: skip
def test_infobip(told: Item, name: str, permanent: bool) -> None:
    call = call_of("infobip", 10, URL, [told, DELIVERED], "secret")
    assert call is not None
    first, second = json.loads(call.body)["results"]
    assert (first["status"]["name"], first["error"]["permanent"], first["messageId"]) == (name, permanent, e.MESSAGE)
    assert (first["callbackData"], second["price"]) == ("order-7", {"pricePerMessage": 0.045, "currency": "EUR"})
    assert second["status"] | {"description": ""} == {
        "groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "kind"), [(SUBMITTED, "8"), (DELIVERED, "1"), (EXPIRED, "2"), (REJECTED, "16"), (OPTED_OUT, "16")]
)
def test_kannel(told: Item, kind: str) -> None:
    call = call_of("kannel", 1, URL + "?type=%d&id=%F&at=%T&smsc=%i&text=%A&kept=%20a&p=100%%", [told], "secret")
    assert call is not None
    assert (call.method, call.body) == ("GET", "")
    fields = dict(parse_qsl(urlsplit(call.url).query, keep_blank_values=True))
    assert (fields["type"], fields["id"], fields["kept"], fields["p"]) == (kind, e.MESSAGE, " a", "100%")
    assert fields["text"].startswith(f"id:{e.MESSAGE} sub:001 ")


@pytest.mark.parametrize(
    ("told", "level", "status"),
    [
        (SUBMITTED, "1", "ESME_ROK"), (DELIVERED, "2", "DELIVRD"), (EXPIRED, "2", "EXPIRED"),
        (UNDELIVERED, "2", "UNDELIV"), (REJECTED, "2", "REJECTD"), (OPTED_OUT, "1", "ESME_RSUBMITFAIL"),
    ],
)  # fmt: skip
def test_jasmin(told: Item, level: str, status: str) -> None:
    call = call_of("jasmin", 1, URL, [told], "secret")
    fields = form(call)
    assert (fields["level"], fields["message_status"], fields["id"]) == (level, status, e.MESSAGE)
    assert call is not None
    assert call.ack == b"ACK/Jasmin"


def test_what_a_shape_has_no_word_for_is_not_told() -> None:
    assert call_of("kannel", 1, URL, [WAITING], "s") is None
    assert call_of("jasmin", 1, URL, [WAITING], "s") is None


def test_a_batch_of_the_standard_shape_names_each_callback_by_its_own_id() -> None:
    second = item(e.submitted(), webhook_id="msg_2")
    call = call_of("standard", 100, URL, [DELIVERED, second], "s")
    assert call is not None
    body = json.loads(call.body)
    assert [(c["id"], c["data"]["status"]) for c in body["data"]["callbacks"]] == [
        ("msg_1", "delivered"), ("msg_2", "submitted"),
    ]  # fmt: skip
    again = call_of("standard", 100, URL, [DELIVERED, second], "s")
    assert again is not None
    assert (call.webhook_id, again.webhook_id[:6]) == (again.webhook_id, "batch_")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("state", RANK)
def test_every_shape_has_an_answer_to_every_state(shape: str, state: str) -> None:
    body = json.loads(DELIVERED.body)
    body["data"] |= {"status": state, "reason": "a reason nobody knows"}
    call = call_of(shape, 1, URL, [Item("msg_1", json.dumps(body))], "s")
    assert call is None or call.url.startswith(URL)

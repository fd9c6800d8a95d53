"""Callbacks in the forms that people's receivers already understand.

`standard` is our own body. The others say the same in the words of Twilio (status callbacks), Infobip (delivery
reports, "Get delivery reports"), Kannel (`dlr-url`, user guide, chapter "Delivery reports") and Jasmin (HTTP API,
"HTTP acknowledgement"). What a form has no word for is not told. Numbers and texts are in none of them: the ledger
does not keep them.
"""

import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b, sha1
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from shared.carriers.catalogue import entry_of

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Item(NamedTuple):
    """One callback: its id, the same over all tries, and its body in the standard form."""

    webhook_id: str
    body: str


class Call(NamedTuple):
    """A request to make. `ack`: what its answer must hold to count, if a status of 2xx is not enough."""

    method: str
    url: str
    webhook_id: str
    body: str
    headers: dict[str, str]
    ack: bytes | None = None


def standard(url: str, items: Sequence[Item], secret: str) -> Call:
    [item] = items
    return Call("POST", url, item.webhook_id, item.body, {"Content-Type": JSON})


def standard_batch(url: str, items: Sequence[Item], secret: str) -> Call:
    """Several at once: `data.callbacks` holds them, each with its own `id` beside the standard body."""
    inner = ",".join(f'{{"id":"{item.webhook_id}",{item.body[1:]}' for item in items)
    last = max(msgspec.json.decode(item.body)["timestamp"] for item in items)
    body = f'{{"type":"message.status.batch","timestamp":"{last}","data":{{"callbacks":[{inner}]}}}}'
    digest = blake2b("\n".join(item.webhook_id for item in items).encode(), digest_size=12).hexdigest()
    return Call("POST", url, f"batch_{digest}", body, {"Content-Type": JSON})


_TWILIO = {
    "accepted": "accepted", "prepared": "queued", "held": "queued", "deferred": "queued", "submitted": "sent",
    "delivered": "delivered", "undelivered": "undelivered", "expired": "undelivered", "unknown": "undelivered",
    "rejected": "failed", "dropped": "failed",
}  # fmt: skip
# Twilio's error codes: unknown destination handset, unreachable handset, filtered by the carrier, unsubscribed, other.
_TWILIO_ERRORS = {
    "invalid_number": "30005", "expired": "30003", "blocked_by_carrier": "30007", "blocked": "30007",
    "opted_out": "21610", "no_consent": "21610", "suppressed": "21610",
}  # fmt: skip


def twilio(url: str, items: Sequence[Item], secret: str) -> Call:
    """A form, signed as Twilio signs: HMAC-SHA1 of the URL and the sorted fields, under the endpoint's secret."""
    [item] = items
    data = _data(item)
    status = _TWILIO[data["status"]]
    fields = {
        "MessageSid": data["message_id"],
        "SmsSid": data["message_id"],
        "MessageStatus": status,
        "SmsStatus": status,
        "ApiVersion": "2010-04-01",
    }
    if data.get("sender"):
        fields["From"] = data["sender"]
    if status in ("undelivered", "failed"):
        fields["ErrorCode"] = _TWILIO_ERRORS.get(data.get("reason", ""), "30008")
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(secret.encode(), signed.encode(), sha1).digest()).decode()
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    return Call("POST", url, item.webhook_id, urlencode(fields), headers)


_GROUPS = {1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}
_INFOBIP = {
    "accepted": (1, 26, "PENDING_ACCEPTED"), "prepared": (1, 26, "PENDING_ACCEPTED"), "held": (1, 26, "PENDING_ACCEPTED"),
    "deferred": (1, 26, "PENDING_ACCEPTED"), "submitted": (1, 7, "PENDING_ENROUTE"),
    "delivered": (3, 5, "DELIVERED_TO_HANDSET"), "undelivered": (2, 9, "UNDELIVERABLE_NOT_DELIVERED"),
    "rejected": (2, 4, "UNDELIVERABLE_REJECTED_OPERATOR"), "expired": (4, 15, "EXPIRED_EXPIRED"),
    "unknown": (4, 29, "EXPIRED_DLR_UNKNOWN"), "dropped": (5, 21, "REJECTED_SYSTEM_ERROR"),
}  # fmt: skip
_INFOBIP_DROPPED = {
    "no_consent": (5, 10, "REJECTED_DND"), "opted_out": (5, 10, "REJECTED_DND"), "suppressed": (5, 10, "REJECTED_DND"),
    "invalid_number": (5, 14, "REJECTED_DESTINATION"), "no_route": (5, 19, "REJECTED_ROUTE_NOT_AVAILABLE"),
}  # fmt: skip


def infobip(url: str, items: Sequence[Item], secret: str) -> Call:
    """Delivery reports, as many as there are items."""
    body = msgspec.json.encode({"results": [_infobip(_data(item)) for item in items]}).decode()
    return Call("POST", url, items[0].webhook_id, body, {"Content-Type": JSON})


def _infobip(data: Mapping[str, Any]) -> dict[str, Any]:
    status, reason = data["status"], data.get("reason")
    group, number, name = _INFOBIP[status]
    if status == "dropped":
        group, number, name = _INFOBIP_DROPPED.get(reason or "", (group, number, name))
    times = {entry["status"]: entry["at"].replace("Z", "+0000") for entry in data["states"]}
    failed = group not in (1, 3)
    error = entry_of(reason)
    found: dict[str, Any] = {
        "messageId": data["message_id"],
        "smsCount": data["parts"],
        "price": {"pricePerMessage": float(data["cost"]), "currency": data["currency"]},
        "status": {"groupId": group, "groupName": _GROUPS[group], "id": number, "name": name,
                   "description": error.advice if failed else name.replace("_", " ").capitalize()},
        "error": {"groupId": 1 if error.fault == "recipient" else 3, "groupName": "HANDSET_ERRORS" if error.fault == "recipient" else "OPERATOR_ERRORS",
                  "id": 255, "name": (reason or "unknown").upper(), "description": error.advice, "permanent": not error.temporary}
        if failed else {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "description": "No Error", "permanent": False},
        "doneAt": data["at"].replace("Z", "+0000"),
    }  # fmt: skip
    if "submitted" in times:
        found["sentAt"] = times["submitted"]
    if data.get("client_ref"):
        found["callbackData"] = data["client_ref"]
    if data.get("sender"):
        found["from"] = data["sender"]
    return found


# Kannel's types: 1 delivered, 2 not delivered, 4 queued at the SMSC, 8 taken by the SMSC, 16 refused by the SMSC.
_KANNEL = {"delivered": 1, "undelivered": 2, "expired": 2, "unknown": 2, "submitted": 8, "rejected": 16, "dropped": 16}
_STAT = {
    "delivered": "DELIVRD", "undelivered": "UNDELIV", "expired": "EXPIRED", "rejected": "REJECTD", "dropped": "REJECTD",
    "unknown": "UNKNOWN", "submitted": "ACCEPTD",
}  # fmt: skip


def kannel(url: str, items: Sequence[Item], secret: str) -> Call | None:
    """GET of the endpoint's URL with its escapes filled in: %d type, %F and %I id, %i carrier, %P sender, %A the
    receipt's words, %t and %T time, %%. An escape that is none of these stays: it belongs to the URL's own encoding."""
    [item] = items
    data = _data(item)
    kind = _KANNEL.get(data["status"])
    if kind is None:
        return None
    at = _moment(data)
    values = {
        "d": str(kind), "F": data["message_id"], "I": data["message_id"], "i": data.get("carrier") or "",
        "P": data.get("sender") or "", "A": _receipt_text(data), "t": at.strftime("%Y-%m-%d %H:%M:%S"),
        "T": str(int(at.timestamp())),
    }  # fmt: skip
    out, place = [], 0
    while (found := url.find("%", place)) >= 0:
        out.append(url[place:found])
        letter = url[found + 1 : found + 2]
        if letter == "%":
            out.append("%25")
        elif letter in values and not _is_hex(url[found + 1 : found + 3]):
            out.append(quote(values[letter], safe=""))
        else:
            out.append("%")
            place = found + 1
            continue
        place = found + 2
    return Call("GET", "".join(out) + url[place:], item.webhook_id, "", {})


def jasmin(url: str, items: Sequence[Item], secret: str) -> Call | None:
    """Level 1 says what the carrier answered, level 2 what its receipt said. The receiver must answer `ACK/Jasmin`."""
    [item] = items
    data = _data(item)
    status = data["status"]
    if status not in _STAT:
        return None
    fields = {"id": data["message_id"], "connector": data.get("carrier") or ""}
    if status in ("submitted", "dropped"):
        fields |= {"level": "1", "message_status": "ESME_ROK" if status == "submitted" else "ESME_RSUBMITFAIL"}
    else:
        at = _moment(data).strftime("%y%m%d%H%M")
        fields |= {
            "level": "2", "message_status": _STAT[status], "id_smsc": data["message_id"], "sub": "001",
            "dlvrd": "001" if status == "delivered" else "000", "subdate": at, "donedate": at,
            "err": "000" if status == "delivered" else "001", "text": _receipt_text(data),
        }  # fmt: skip
    return Call("POST", url, item.webhook_id, urlencode(fields), {"Content-Type": FORM}, b"ACK/Jasmin")


SHAPES: dict[str, Callable[[str, Sequence[Item], str], Call | None]] = {
    "standard": standard, "twilio": twilio, "infobip": infobip, "kannel": kannel, "jasmin": jasmin,
}  # fmt: skip
BATCHES = frozenset({"standard", "infobip"})  # shapes that have a form for several


def call_of(shape: str, batch: int, url: str, items: Sequence[Item], secret: str) -> Call | None:
    """The request for these callbacks; None when the shape has no word for the state. `batch` above one asks for the
    batched form, also of a single one, so that a receiver meets one form only."""
    if shape == "standard" and batch > 1:
        return standard_batch(url, items, secret)
    return SHAPES[shape](url, items, secret)


def _data(item: Item) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(item.body)["data"]
    return data


def _moment(data: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(data["at"]).astimezone(UTC)


def _receipt_text(data: Mapping[str, Any]) -> str:
    """In the words of SMPP 3.4, appendix B."""
    at, delivered = _moment(data).strftime("%y%m%d%H%M"), data["status"] == "delivered"
    return (
        f"id:{data['message_id']} sub:001 dlvrd:{'001' if delivered else '000'} submit date:{at} done date:{at} "
        f"stat:{_STAT.get(data['status'], 'UNKNOWN')} err:{'000' if delivered else '001'}"
    )


_HEX = frozenset("0123456789ABCDEFabcdef")


def _is_hex(two: str) -> bool:
    return len(two) == 2 and _HEX.issuperset(two)

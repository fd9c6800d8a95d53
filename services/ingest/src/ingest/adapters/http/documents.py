"""What OpenAPI says about ingest's own operations: written by hand, since msgspec and not FastAPI reads the bodies."""

from typing import Any

from ingest.domain.api_key import SCOPES
from ingest.domain.event_request import PROPERTIES_BYTES, REF_CHARACTERS
from ingest.domain.message_request import (
    CLIENT_REF_CHARACTERS,
    DEFAULT_VALIDITY_S,
    TEXT_CHARACTERS,
    URL_CHARACTERS,
    VALIDITY_S,
    VARIABLES_BYTES,
)  # fmt: skip

Schema = dict[str, Any]
DESCRIPTION = (
    "One door for messages, contacts, consents, campaigns and reports. Every call under `/v1` needs "
    "`Authorization: Bearer <key>`. Errors are problem documents of RFC 9457: `errors` lists each field with a code."
)
SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "bearerFormat": "rk_<id>_<secret>", "description": "an API key"}
}


def _object(properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    found = {"type": "object", "properties": properties, **more}
    return {**found, "required": list(required)} if required else found


PROBLEM = _object(
    {
        "type": {"type": "string", "example": "urn:relais:problem:invalid_request"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": _object(
                {"field": {"type": "string"}, "code": {"type": "string"}, "detail": {"type": "string"}},
                ("field", "code", "detail"),
            ),
        },
    },
    ("type", "title", "status", "detail"),
)
MESSAGE = _object(
    {
        "to": {"type": "string", "pattern": r"^\+[1-9][0-9]{7,14}$", "description": "the handset's number in E.164"},
        "from": {"type": "string", "maxLength": 16, "description": "the sender asked for; without it the route chooses"},
        "class": {"type": "string", "enum": ["marketing", "transactional", "otp"]},
        "text": {"type": "string", "minLength": 1, "maxLength": TEXT_CHARACTERS},
        "template": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", "description": "instead of text"},
        "variables": {"type": "object", "description": f"for the template; at most {VARIABLES_BYTES} bytes of JSON"},
        "client_ref": {"type": "string", "minLength": 1, "maxLength": CLIENT_REF_CHARACTERS},
        "callback_url": {"type": "string", "format": "uri", "maxLength": URL_CHARACTERS, "description": "https"},
        "send_at": {"type": "string", "format": "date-time", "description": "at most 21 days ahead; a past one means now"},
        "validity_s": {
            "type": "integer", "minimum": VALIDITY_S[0], "maximum": VALIDITY_S[1], "default": DEFAULT_VALIDITY_S,
        },
    },
    ("to", "class"),
    additionalProperties=False,
    oneOf=[{"required": ["text"]}, {"required": ["template"]}],
)  # fmt: skip
EVENT = _object(
    {
        "id": {
            "type": "string", "minLength": 1, "maxLength": REF_CHARACTERS,
            "description": "the caller's id of the event: told twice, it counts once",
        },
        "contact": {"type": "string", "minLength": 1, "maxLength": REF_CHARACTERS, "description": "the contact's ref"},
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"},
        "at": {"type": "string", "format": "date-time", "description": "when it happened; without it, now"},
        "value": {
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?\d{1,12}(\.\d{1,6})?$"}],
            "description": "needs a currency",
        },
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "properties": {"type": "object", "description": f"at most {PROPERTIES_BYTES} bytes of JSON"},
    },
    ("contact", "name"),
    additionalProperties=False,
)  # fmt: skip
TAKEN = _object(
    {"message_id": {"type": "string", "format": "uuid"}, "status": {"const": "accepted"}}, ("message_id", "status")
)
EVENT_TAKEN = _object({"event_id": {"type": "string"}, "status": {"const": "accepted"}}, ("event_id", "status"))
REFUSED_ITEM = _object({"error": {"$ref": "#/components/schemas/Problem"}}, ("error",))
KEY = _object(
    {
        "id": {"type": "string", "pattern": "^[a-z0-9]{8}$"},
        "name": {"type": "string"},
        "scopes": {"type": "array", "items": {"type": "string", "enum": list(SCOPES)}},
        "messages_per_s": {"type": ["integer", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
        "created_by": {"type": "string"},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "revoked_at": {"type": ["string", "null"], "format": "date-time"},
    }
)
NEW_KEY = _object(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "scopes": {
            "type": "array", "minItems": 1, "items": {"type": "string", "enum": list(SCOPES)},
            "description": "; ".join(f"{name}: {meaning}" for name, meaning in SCOPES.items()),
        },
        "expires_at": {"type": "string", "format": "date-time"},
        "messages_per_s": {"type": "integer", "minimum": 1},
    },
    ("name", "scopes"),
    additionalProperties=False,
)  # fmt: skip
TENANT = _object(
    {
        "tenant_id": {"type": "string"},
        "name": {"type": "string"},
        "messages_per_s": {"type": ["integer", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
    }
)
TENANT_CHANGE = _object(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "messages_per_s": {"type": "integer", "minimum": 1, "description": "needs the scope operate"},
    },
    additionalProperties=False,
)
SCHEMAS = {
    "Problem": PROBLEM, "Message": MESSAGE, "Event": EVENT, "MessageTaken": TAKEN, "EventTaken": EVENT_TAKEN,
    "RefusedItem": REFUSED_ITEM, "Key": KEY, "NewKey": NEW_KEY, "Tenant": TENANT, "TenantChange": TENANT_CHANGE,
}  # fmt: skip


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(field: str, name: str, **more: Any) -> Schema:
    return _object({field: {"type": "array", "items": _ref(name), **more}}, (field,), additionalProperties=False)


def _results(name: str) -> Schema:
    return _object({"results": {"type": "array", "items": {"oneOf": [_ref(name), _ref("RefusedItem")]}}}, ("results",))


_WHY = {
    400: "not JSON, or an Idempotency-Key that is none", 401: "no usable key", 403: "the key lacks a scope",
    404: "no such thing in this tenant", 409: "the first request with this Idempotency-Key still runs",
    413: "the body is too large", 422: "a field is wrong, or the Idempotency-Key belongs to another request",
    429: "the limit is used up", 503: "the brokers or the database are away; try again",
}  # fmt: skip


def _problems(*statuses: int) -> dict[int | str, Schema]:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}


def _good(description: str, schema: Schema, example: Any = None, headers: Schema | None = None) -> Schema:
    media: Schema = {"schema": schema}
    if example is not None:
        media["example"] = example
    found: Schema = {"description": description, "content": {"application/json": media}}
    return {**found, "headers": headers} if headers else found


def _body(schema: Schema, examples: Schema) -> Schema:
    media = {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}
    return {"required": True, "content": {"application/json": media}}


_TEXT = {"schema": {"type": "string"}}
_LIMIT_HEADERS = {
    "RateLimit-Policy": {"description": "the limits of the tenant and of the key", **_TEXT},
    "RateLimit": {"description": "what is left of each", **_TEXT},
}
_TAKEN_HEADERS = {
    **_LIMIT_HEADERS,
    "Idempotency-Key-Expires": {"description": "until when the key is remembered", **_TEXT},
    "Idempotent-Replayed": {"description": "`true` when this is the stored answer of an earlier request", **_TEXT},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Names the request: repeated within 24 hours with the same body, it gets the first answer again.",
}  # fmt: skip
_UUID = "66e4d3f1-8c1a-8b7e-9d3c-5a1f0e2b7c44"
_ONE = {"to": "+33612345678", "class": "transactional", "text": "Your parcel arrives today."}
_OTP = {"to": "+4915112345678", "class": "otp", "text": "Your code is 493817.", "validity_s": 300}
_TEMPLATED = {
    "to": "+33612345678", "from": "MERCURE", "class": "marketing", "template": "spring-sale", "variables": {"name": "Ada"},
    "client_ref": "order-1042", "callback_url": "https://example.com/sms", "validity_s": 86400,
}  # fmt: skip
_PURCHASE = {
    "id": "order-1042", "contact": "c-77", "name": "purchase", "at": "2025-03-01T10:15:00Z", "value": "59.90",
    "currency": "EUR", "properties": {"sku": "A-17"},
}  # fmt: skip
_ERROR = {
    "error": {
        "type": "urn:relais:problem:invalid_request", "title": "invalid request", "status": 422,
        "detail": "class: must be marketing, transactional or otp",
        "errors": [{"field": "class", "code": "unknown_class", "detail": "must be marketing, transactional or otp"}],
    }
}  # fmt: skip
_TAKEN = {"message_id": _UUID, "status": "accepted"}

SEND_MESSAGE: dict[str, Any] = {
    "summary": "Send a message",
    "description": "Answers once all in-sync replicas of the brokers have the message. Scope: messages:write.",
    "tags": ["messages"],
    "status_code": 202,
    "responses": {
        202: _good("taken: it is not lost any more", _ref("MessageTaken"), _TAKEN, _TAKEN_HEADERS),
        **_problems(400, 401, 403, 409, 413, 422, 429, 503),
    },
    "openapi_extra": {
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": _body(_ref("Message"), {"text": _ONE, "code": _OTP, "template": _TEMPLATED}),
    },
}
SEND_BATCH: dict[str, Any] = {
    "summary": "Send up to 1,000 messages",
    "description": "Results stand in the order of the messages; those that are refused hold a problem, and the others "
    "are taken. Scope: messages:write.",
    "tags": ["messages"],
    "status_code": 202,
    "responses": {
        202: _good("a result for each", _results("MessageTaken"), {"results": [_TAKEN, _ERROR]}, _TAKEN_HEADERS),
        **_problems(400, 401, 403, 409, 413, 422, 429, 503),
    },
    "openapi_extra": {
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": _body(
            _list("messages", "Message", minItems=1, maxItems=1000), {"two": {"messages": [_ONE, _TEMPLATED]}}
        ),
    },
}
TRACK_EVENTS: dict[str, Any] = {
    "summary": "Tell of up to 1,000 events",
    "description": "Purchases, sign-ups, any behaviour. Scope: events:write.",
    "tags": ["events"],
    "status_code": 202,
    "responses": {
        202: _good(
            "a result for each",
            _results("EventTaken"),
            {"results": [{"event_id": "5f0c6a1be0f94c1c8a3c1f4f5a0e9d21", "status": "accepted"}]},
            _TAKEN_HEADERS,
        ),
        **_problems(400, 401, 403, 409, 413, 422, 429, 503),
    },
    "openapi_extra": {
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": _body(
            _list("events", "Event", minItems=1, maxItems=1000), {"purchase": {"events": [_PURCHASE]}}
        ),
    },
}
_NEW_KEY = {"name": "shop", "scopes": ["messages:write", "messages:read"], "expires_at": "2027-01-01T00:00:00Z"}
_SHOWN_ONCE = {"key": {"type": "string", "description": "shown this once: only its hash is kept"}}
MAKE_KEY: dict[str, Any] = {
    "summary": "Make a key",
    "description": "The key is shown this once. It may do at most what the asking key may. Scope: admin.",
    "tags": ["keys"],
    "status_code": 201,
    "responses": {
        201: _good("made", {"allOf": [_ref("Key"), _object(_SHOWN_ONCE, ("key",))]}),
        **_problems(400, 401, 403, 413, 422, 429, 503),
    },
    "openapi_extra": {"requestBody": _body(_ref("NewKey"), {"shop": _NEW_KEY})},
}
LIST_KEYS: dict[str, Any] = {
    "summary": "The tenant's keys",
    "description": "Without their secrets, which are not kept. Scope: admin.",
    "tags": ["keys"],
    "responses": {200: _good("newest first", _list("keys", "Key")), **_problems(401, 403, 429, 503)},
}


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


REVOKE_KEY: dict[str, Any] = {
    "summary": "Revoke a key",
    "description": "It stops working within 5 seconds. Scope: admin.",
    "tags": ["keys"],
    "status_code": 204,
    "responses": {204: {"description": "revoked"}, **_problems(401, 403, 404, 429, 503)},
    "openapi_extra": {"parameters": [_path_parameter("key_id")]},
}
LIST_TENANTS: dict[str, Any] = {
    "summary": "The tenants that this key sees: its own",
    "description": "Scope: admin.",
    "tags": ["tenants"],
    "responses": {200: _good("one tenant", _list("tenants", "Tenant")), **_problems(401, 403, 429, 503)},
}
GET_TENANT: dict[str, Any] = {
    "summary": "A tenant",
    "description": "The key's own; any other is not found. Scope: admin.",
    "tags": ["tenants"],
    "responses": {200: _good("the tenant", _ref("Tenant")), **_problems(401, 403, 404, 429, 503)},
    "openapi_extra": {"parameters": [_path_parameter("tenant_id")]},
}
PUT_TENANT: dict[str, Any] = {
    "summary": "Change the own tenant, or make a new one",
    "description": "The own tenant: scope admin. A new one: scopes admin and operate; the answer holds its first key, "
    "shown this once, which may do everything but operate.",
    "tags": ["tenants"],
    "responses": {
        200: _good("changed", _ref("Tenant")),
        201: _good("made", {"allOf": [_ref("Tenant"), _object(_SHOWN_ONCE, ("key",))]}),
        409: {**_problems(404)[404], "description": "the id is taken"},
        **_problems(400, 401, 403, 413, 422, 429, 503),
    },
    "openapi_extra": {
        "parameters": [_path_parameter("tenant_id")],
        "requestBody": _body(_ref("TenantChange"), {"name": {"name": "Atelier Mercure"}}),
    },
}

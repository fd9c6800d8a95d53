"""What OpenAPI says about /v1/links."""

from typing import Any, Final

from ingest.domain.links import TARGET_CHARACTERS, UTM_FIELDS

_URL: Final = {"type": "string", "format": "uri", "maxLength": TARGET_CHARACTERS}
_ASKED: Final = {
    "target": {**_URL, "description": "where the link leads: http, https, or an app's own scheme"},
    "ios": {**_URL, "description": "where it leads on an iPhone or iPad instead"},
    "android": {**_URL, "description": "where it leads on Android instead"},
    "campaign": {"type": "string", "description": "the campaign its clicks belong to when they name no message"},
    "utm": {"type": "object", "properties": {name: {"type": "string"} for name in UTM_FIELDS}},
    "expires_at": {"type": "string", "format": "date-time"},
    "fallback": {**_URL, "description": "where it leads once expired; without it the answer is 410"},
    "domain": {"type": "string", "description": "the tenant's own host name, in its DNS pointed here"},
}
_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
_LINK: Final = {
    "type": "object",
    "properties": {
        "id": _ID,
        "url": {
            "type": "string",
            "description": "put this into a text or template: each message gets its own code of the same length",
        },
        **_ASKED,
        "version": {"type": "integer"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    },
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "a problem document", "content": problem} for status in statuses}


_PATH: Final = {"name": "link_id", "in": "path", "required": True, "schema": _ID}
_BODY: Final = {"type": "object", "properties": {"id": _ID, **_ASKED}, "required": ["target"]}
_SHOWN: Final = {"description": "the link", "content": _json(_LINK)}

MAKE_LINK: dict[str, Any] = {
    "summary": "Make a short link",
    "description": "`url` is ready for texts. Scope: campaigns:write.",
    "tags": ["links"],
    "status_code": 201,
    "responses": {201: _SHOWN, **_problems(400, 401, 403, 409, 413, 422, 429, 503)},
    "openapi_extra": {"requestBody": {"required": True, "content": _json(_BODY)}},
}
PUT_LINK: dict[str, Any] = {
    "summary": "Make or change a short link",
    "description": "Codes already sent lead to the new target within a second or two. Scope: campaigns:write.",
    "tags": ["links"],
    "responses": {200: _SHOWN, 201: _SHOWN, **_problems(400, 401, 403, 409, 413, 422, 429, 503)},
    "openapi_extra": {"parameters": [_PATH], "requestBody": {"required": True, "content": _json(_BODY)}},
}
LIST_LINKS: dict[str, Any] = {
    "summary": "The tenant's links",
    "description": "By id, `after` the last one seen. Scope: campaigns:read.",
    "tags": ["links"],
    "responses": {
        200: {
            "description": "a page",
            "content": _json(
                {
                    "type": "object",
                    "properties": {
                        "links": {"type": "array", "items": _LINK},
                        "next": {"type": "string", "nullable": True},
                    },
                }
            ),
        },
        **_problems(401, 403, 422, 429, 503),
    },
    "openapi_extra": {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": kind}}
            for name, kind in (("after", "string"), ("limit", "integer"), ("campaign", "string"))
        ]
    },
}
GET_LINK: dict[str, Any] = {
    "summary": "One link",
    "tags": ["links"],
    "responses": {200: _SHOWN, **_problems(401, 403, 404, 429, 503)},
    "openapi_extra": {"parameters": [_PATH]},
}
DELETE_LINK: dict[str, Any] = {
    "summary": "End a link: its codes answer 410",
    "tags": ["links"],
    "status_code": 204,
    "responses": {204: {"description": "ended"}, **_problems(401, 403, 404, 429, 503)},
    "openapi_extra": {"parameters": [_PATH]},
}

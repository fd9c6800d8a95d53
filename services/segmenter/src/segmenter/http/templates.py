"""/v1/templates: Liquid bodies by locale, each change a version."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError

from segmenter.adapters.catalog import find_template, list_templates, store_template
from segmenter.domain.templates import CompiledBody, TemplateError
from segmenter.http.bodies import Locale, Name, answer, body_of, checked_id, not_found, written
from segmenter.http.parts import Parts

Body = Annotated[str, Meta(min_length=1, max_length=20_000)]


class TemplateBody(Struct, forbid_unknown_fields=True):
    name: Name
    purpose: Literal["marketing", "transactional", "otp"]
    bodies: Annotated[dict[Locale, Body], Meta(min_length=1, max_length=100)]
    default_locale: Locale


_BODY = msgspec.json.Decoder(TemplateBody)


def make_template_routes(parts: Parts) -> APIRouter:
    routes = APIRouter()
    may_write = Depends(caller_with(parts.tokens, "campaigns:write"))
    may_read = Depends(caller_with(parts.tokens, "campaigns:read"))

    @routes.get("/v1/templates")
    async def listed(
        after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100, caller: Caller = may_read
    ) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            rows = await list_templates(connection, caller.tenant_id, after, limit)
        found = [
            {"id": r["id"], "name": r["name"], "purpose": r["purpose"], "version": r["version"], "updated_at": written(r["updated_at"])}
            for r in rows
        ]  # fmt: skip
        return answer({"templates": found, "next": rows[-1]["id"] if len(rows) == limit else None})

    @routes.put("/v1/templates/{template_id}")
    async def put(template_id: str, request: Request, caller: Caller = may_write) -> Response:
        checked_id(template_id, "id")
        body = await body_of(request, _BODY)
        _check(body)
        async with parts.db.hot(caller.tenant_id) as connection:
            version = await store_template(
                connection, caller.tenant_id, template_id, body.name, body.purpose, body.bodies, body.default_locale, parts.clock()
            )  # fmt: skip
        return answer({"id": template_id, **msgspec.structs.asdict(body), "version": version})

    @routes.get("/v1/templates/{template_id}")
    async def get(template_id: str, caller: Caller = may_read) -> Response:
        async with parts.db.hot(caller.tenant_id) as connection:
            row = await find_template(connection, caller.tenant_id, template_id)
        if row is None:
            raise not_found("template")
        return answer(
            {
                "id": template_id, "name": row["name"], "purpose": row["purpose"], "bodies": msgspec.Raw(row["bodies"].encode()),
                "default_locale": row["default_locale"], "version": row["version"], "updated_at": written(row["updated_at"]),
            }
        )  # fmt: skip

    return routes


def _check(body: TemplateBody) -> None:
    """422 with every body that Liquid cannot read."""
    errors: list[dict[str, Any]] = []
    for locale, source in body.bodies.items():
        try:
            CompiledBody(source)
        except TemplateError as error:
            errors.append({"field": f"bodies.{locale}", "code": "invalid_template", "detail": str(error)})
    if body.default_locale not in body.bodies:
        detail = "is one of the bodies' locales"
        errors.append({"field": "default_locale", "code": "invalid_value", "detail": detail})
    if errors:
        raise ProblemError(422, "invalid_template", f"{errors[0]['field']}: {errors[0]['detail']}", errors=errors)

"""/v1/templates: Liquid bodies by locale, each change a version."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Meta, Struct
from shared.crypto.tokens import Caller
from shared.http.caller import caller_with
from shared.http.problems import ProblemError

from segmenter.adapters.attribute_store import load_schema
from segmenter.adapters.catalog import find_template, list_templates, store_template
from segmenter.adapters.people import longest_values
from segmenter.domain.check_template import Longest, Warning, check_body, names_of
from segmenter.domain.country_costs import Price, country_costs
from segmenter.domain.templates import TOO_MUCH, CompiledBody, TemplateError
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
    async def put(template_id: str, request: Request, strict: bool = False, caller: Caller = may_write) -> Response:
        """Stored, with what its check found: unknown variables, missing defaults, the longest text and its cost. A body that
        can never be rendered is refused; with `strict` so is whatever there is to warn of."""
        checked_id(template_id, "id")
        body = await body_of(request, _BODY)
        compiled = _compiled(body)
        prices = await parts.prices.current()
        async with parts.db.hot(caller.tenant_id) as connection:
            checks = await _checks(connection, caller.tenant_id, body, compiled)
            if strict and checks.warnings:
                raise _refused(checks.warnings)
            version = await store_template(
                connection, caller.tenant_id, template_id, body.name, body.purpose, body.bodies, body.default_locale, parts.clock()
            )  # fmt: skip
        return answer(
            {"id": template_id, **msgspec.structs.asdict(body), "version": version, "checks": _told(checks, prices)}
        )

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


class Checks(NamedTuple):
    warnings: list[Warning]
    longest: dict[str, Longest]


def _compiled(body: TemplateBody) -> dict[str, CompiledBody]:
    """422 with every body that Liquid cannot read."""
    errors: list[dict[str, Any]] = []
    found: dict[str, CompiledBody] = {}
    for locale, source in body.bodies.items():
        try:
            found[locale] = CompiledBody(source)
        except TemplateError as error:
            errors.append({"field": f"bodies.{locale}", "code": "invalid_template", "detail": str(error)})
    if body.default_locale not in body.bodies:
        detail = "is one of the bodies' locales"
        errors.append({"field": "default_locale", "code": "invalid_value", "detail": detail})
    if errors:
        raise ProblemError(422, "invalid_template", f"{errors[0]['field']}: {errors[0]['detail']}", errors=errors)
    return found


async def _checks(connection: Any, tenant: str, body: TemplateBody, compiled: dict[str, CompiledBody]) -> Checks:
    """422 for a body that loops or writes too much."""
    known = set((await load_schema(connection, tenant)).kinds)
    longest = await longest_values(connection, tenant, names_of(list(compiled.values())))
    checks = Checks([], {})
    for locale, one in compiled.items():
        # Before there are contacts, and for a one-time code, nobody knows which variables will be given.
        warnings, length = check_body(locale, one, known if known and body.purpose == "marketing" else None, longest)
        checks.warnings.extend(warnings)
        if length is not None:
            checks.longest[locale] = length
    endless = [w for w in checks.warnings if w.code == "fails" and TOO_MUCH in w.detail]
    if endless:
        raise _refused(endless)
    return checks


def _refused(warnings: list[Warning]) -> ProblemError:
    errors = [
        {
            "field": f"bodies.{w.locale}",
            "code": w.code,
            "detail": f"{w.variable}: {w.detail}" if w.variable else w.detail,
        }
        for w in warnings
    ]
    return ProblemError(422, "invalid_template", f"{errors[0]['field']}: {errors[0]['detail']}", errors=errors)


def _told(checks: Checks, prices: Sequence[tuple[str, Price]] | None) -> dict[str, Any]:
    longest = {}
    for locale, found in checks.longest.items():
        costs = country_costs(prices, found.parts) if prices is not None else []
        longest[locale] = msgspec.structs.asdict(found) | {
            "costs": [{"country": c.country, "lowest": str(c.lowest), "currency": c.currency} for c in costs]
        }
    return {"warnings": checks.warnings, "longest": longest}

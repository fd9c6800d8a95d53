"""/p/{code}: a person's preference page. It asks the segmenter, which owns consent; no key, since the code proves itself."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from shared.errors import RetryLaterError

from ingest.adapters.forwarder import Forwarder
from ingest.adapters.http.raw import RawRoute, body_of
from ingest.domain.owners import Owner
from ingest.domain.preference_page import HEADERS, language_of, notice, page, word_said, wording

FORM_BYTES: Final = 2 * 1024
_AGENT: Final = 200  # characters of the browser's name that go into the proof


def make_routes(forwarder: Forwarder) -> APIRouter:
    router = APIRouter(route_class=RawRoute, include_in_schema=False)

    async def asked(request: Request) -> tuple[int, dict[str, Any]]:
        return await forwarder.ask(Owner.SEGMENTER, "GET", _path(request))

    @router.get("/p/{code}")
    async def show(request: Request) -> Response:
        try:
            status, told = await asked(request)
        except RetryLaterError:
            return _answer(503, notice(_language(request, None), "away"))
        language = _language(request, told.get("locale"))
        if status != 200:
            return _answer(404, notice(language, "gone"))
        return _answer(200, page(request.path_params["code"], told["purposes"], language))

    @router.post("/p/{code}")
    async def say(request: Request) -> Response:
        said = word_said(await body_of(request, FORM_BYTES))
        try:
            status, told = await asked(request)
            language = _language(request, told.get("locale"))
            if status == 200 and said is not None:
                status, told = await forwarder.ask(
                    Owner.SEGMENTER, "POST", _path(request), {"purpose": said[0], "state": said[1], "proof": _proof(request), "wording": wording(language, *said)}
                )  # fmt: skip
        except RetryLaterError:
            return _answer(503, notice(_language(request, None), "away"))
        if status != 200:
            return _answer(404 if status == 404 else 400, notice(language, "gone"))
        return _answer(200, page(request.path_params["code"], told["purposes"], language, done=said is not None))

    return router


def _path(request: Request) -> str:
    code: str = request.path_params["code"]
    return f"/internal/v1/preferences/{code if code.isascii() and code.isalnum() else '-'}"


def _language(request: Request, locale: str | None) -> str:
    return language_of(request.query_params.get("lang"), locale, request.headers.get("accept-language"))


def _proof(request: Request) -> str:
    """GDPR 7(1): which form said it, from where."""
    address = request.client.host if request.client is not None else "unknown"
    agent = "".join(c for c in request.headers.get("user-agent", "") if c.isprintable())[:_AGENT]
    return f"preference page, from {address}, {agent}"


def _answer(status: int, html: str) -> Response:
    return Response(html, status_code=status, media_type="text/html; charset=utf-8", headers=HEADERS)

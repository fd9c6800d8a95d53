"""A stream of contacts, NDJSON or CSV, as one JSON object a line. Memory holds one piece and one line."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import Request
from msgspec import Struct
from shared.http.problems import ProblemError

LONGEST_LINE: Final = 64 * 1024
MOST_REPORTED: Final = 1000
OWN_COLUMNS: Final = ("ref", "number", "locale", "time_zone")  # every other column of a CSV is an attribute


class LineError(NamedTuple):
    field: str
    detail: str


class ImportReport(Struct):
    """`errors` names the first thousand refused lines, counted from 1; a CSV's header is line 1."""

    lines: int = 0
    stored: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = []

    def refuse(self, line: int, field: str, detail: str) -> None:
        self.failed += 1
        if len(self.errors) < MOST_REPORTED:
            self.errors.append({"line": line, "field": field, "detail": detail})


def contact_lines(request: Request) -> AsyncIterator[tuple[int, bytes | LineError]]:
    """(line number, JSON of the contact or what is wrong with the line). 415 for another media type."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
        return _ndjson(request)
    if media == "text/csv":
        return _csv(request)
    raise ProblemError(415, "unsupported_media_type", "send application/x-ndjson or text/csv")


async def _ndjson(request: Request) -> AsyncIterator[tuple[int, bytes | LineError]]:
    async for number, line in _lines(request, quoted=False):
        if line.strip():
            yield number, line if len(line) <= LONGEST_LINE else LineError("line", "is longer than 64 KiB")


async def _csv(request: Request) -> AsyncIterator[tuple[int, bytes | LineError]]:
    header: list[str] | None = None
    async for number, line in _lines(request, quoted=True):
        if not line.strip():
            continue
        try:
            row = next(csv.reader(io.StringIO(line.decode("utf-8-sig" if header is None else "utf-8"), newline="")))
        except (UnicodeDecodeError, csv.Error):
            yield number, LineError("line", "is not CSV in UTF-8")
            continue
        if header is None:
            header = [name.strip() for name in row]
            missing = [name for name in ("ref", "number") if name not in header]
            if missing:
                raise ProblemError(422, "invalid_request", f"the CSV's first line has no column {missing[0]}")
        elif len(row) != len(header):
            yield number, LineError("line", f"has {len(row)} columns where the first line has {len(header)}")
        else:
            yield number, _as_json(dict(zip(header, row, strict=True)))


def _as_json(row: dict[str, str]) -> bytes:
    contact: dict[str, Any] = {name: row[name] for name in OWN_COLUMNS if row.get(name)}
    contact["attributes"] = {name: value for name, value in row.items() if name not in OWN_COLUMNS and value != ""}
    return msgspec.json.encode(contact)


async def _lines(request: Request, *, quoted: bool) -> AsyncIterator[tuple[int, bytes]]:
    """Lines with their numbers; with `quoted` a line goes on while a quote is open."""
    rest, number, first = b"", 0, 0
    held = b""
    async for piece in request.stream():
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) + len(held) > 4 * LONGEST_LINE:
            raise ProblemError(413, "too_large", f"line {number + 1} does not end")
        for line in whole:
            number += 1
            first = first or number
            held = held + b"\n" + line if held else line
            if quoted and held.count(b'"') % 2 and len(held) < LONGEST_LINE:
                continue
            yield first, held
            held, first = b"", 0
    last = held + b"\n" + rest if held else rest
    if last:
        yield first or number + 1, last

"""A stream of contacts, NDJSON or CSV, as slices of lines. Memory holds one piece and one slice."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final, NamedTuple

from fastapi import Request
from msgspec import Struct, field
from shared.http.problems import ProblemError, field_problem

from segmenter.domain.attributes import Schema, kind_of_column, value_of
from segmenter.domain.read_csv import ENCODINGS, LONGEST_ROW, BadLine, CsvRows, HeaderError

MOST_REPORTED: Final = 1000
SLICE: Final = 1000  # lines stored in one transaction
OWN_COLUMNS: Final = ("ref", "number", "locale", "time_zone")  # every other column of a CSV is an attribute


class Row(NamedTuple):
    """A CSV's line as the contact it describes; empty words are left out."""

    ref: str
    number: str
    locale: str | None
    time_zone: str | None
    attributes: dict[str, Any]


Line = tuple[int, "Row | bytes | BadLine"]


class Refused(Struct):
    field: str
    code: str
    lines: int


class ImportReport(Struct):
    """Every line is stored, unchanged, repeated or failed.

    `unchanged`: stored before, word for word. `repeated`: a later line of the same stretch has the same ref and holds.
    `errors` names the first thousand refused lines, counted from 1; a CSV's header is line 1. `refused` counts them all.
    `unreachable` counts stored contacts whose number no SMS reaches, by why. `complete` is false when the stream broke
    off: lines up to `through` are stored or reported, and a repeat of the file is harmless.
    """

    lines: int = 0
    stored: int = 0
    unchanged: int = 0
    repeated: int = 0
    failed: int = 0
    through: int = 0
    complete: bool = True
    errors: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unreachable: dict[str, int] = field(default_factory=dict)

    def refuse(self, line: int, bad: BadLine) -> None:
        self.failed += 1
        if len(self.errors) < MOST_REPORTED:
            told = {"line": line, "field": bad.field, "column": bad.column, "code": bad.code, "detail": bad.detail}
            self.errors.append(told)
        for known in self.refused:
            if (known.field, known.code) == (bad.field, bad.code):
                known.lines += 1
                return
        if len(self.refused) < MOST_REPORTED:
            self.refused.append(Refused(bad.field, bad.code, 1))

    def cannot_reach(self, problems: Counter[str]) -> None:
        for problem, count in problems.items():
            self.unreachable[problem] = self.unreachable.get(problem, 0) + count


class ContactSlices:
    """Slices of (line number, the contact or what is wrong with the line).

    415 for another media type; 422 for a CSV whose first line cannot be one. Query: `encoding` of a CSV, `line`, the
    number of the first line (of a CSV: after the header) when this is a piece of a longer file.
    """

    def __init__(self, request: Request, schema: Schema) -> None:
        self._request = request
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        line = _whole(request.query_params.get("line"))
        self._reader: _Ndjson | _Csv
        if media in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
            self._reader = _Ndjson(line or 1)
        elif media == "text/csv":
            encoding = request.query_params.get("encoding", "utf-8").lower()
            if encoding not in ENCODINGS:
                raise field_problem("encoding", "unknown", f"is one of {', '.join(ENCODINGS)}")
            self._reader = _Csv(CsvRows(("ref", "number"), encoding, line or 2), schema)
        else:
            raise ProblemError(415, "unsupported_media_type", "send application/x-ndjson or text/csv")

    async def __aiter__(self) -> AsyncIterator[list[Line]]:
        held: list[Line] = []
        try:
            async for piece in self._request.stream():
                held += self._reader.feed(piece)
                while len(held) >= SLICE:
                    yield self._reader.typed(held[:SLICE])
                    held = held[SLICE:]
            held += self._reader.close()
        except HeaderError as error:
            raise ProblemError(422, "invalid_request", str(error)) from None
        for at in range(0, len(held), SLICE):
            yield self._reader.typed(held[at : at + SLICE])

    def column(self, field: str) -> int | None:
        """Which column of a CSV a field is, from 1."""
        return self._reader.column(field.removeprefix("attributes."))


def _whole(written: str | None) -> int | None:
    if written is None:
        return None
    if not written.isdecimal() or not 1 <= int(written) < 2**31:
        raise field_problem("line", "out_of_range", "is the number of a line, from 1")
    return int(written)


class _Ndjson:
    def __init__(self, line: int) -> None:
        self._number, self._rest, self._skipping = line - 1, b"", False

    def feed(self, piece: bytes) -> Iterator[Line]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        yield from self._lines(whole)
        if len(self._rest) > LONGEST_ROW:  # goes on: refused once, its end is looked for
            if not self._skipping:
                yield self._number + 1, _TOO_LONG
            self._rest, self._skipping = b"", True

    def close(self) -> Iterator[Line]:
        yield from self._lines([self._rest])

    def _lines(self, lines: Iterable[bytes]) -> Iterator[Line]:
        for line in lines:
            self._number += 1
            if self._skipping:
                self._skipping = False
            elif line and not line.isspace():
                yield self._number, line if len(line) <= LONGEST_ROW else _TOO_LONG

    def typed(self, lines: list[Line]) -> list[Line]:
        return lines

    def column(self, name: str) -> int | None:
        return None


_TOO_LONG: Final = BadLine("line", None, "too_long", f"is longer than {LONGEST_ROW // 1024} KiB")


class _Csv:
    """Rows of a CSV, their words made values by what is known of their attributes."""

    def __init__(self, rows: CsvRows, schema: Schema) -> None:
        self._rows, self._schema = rows, schema
        self._columns: list[tuple[str, int]] | None = None
        self._guessed: dict[str, Any] = {}

    def feed(self, piece: bytes) -> Iterator[Any]:
        return self._rows.feed(piece)

    def close(self) -> Iterator[Any]:
        return self._rows.close()

    def typed(self, lines: list[Any]) -> list[Line]:
        header = self._rows.header or []
        if self._columns is None:
            self._columns = [(name, at) for at, name in enumerate(header) if name not in OWN_COLUMNS]
            self._own = [header.index(name) if name in header else None for name in OWN_COLUMNS]
        for name, at in self._columns:
            if self._schema.kind(name) is None and name not in self._guessed:
                words = [row[at] for _, row in lines if not isinstance(row, BadLine) and row[at]]
                if words:
                    self._guessed[name] = kind_of_column(words)
        return [(number, row if isinstance(row, BadLine) else self._contact(row)) for number, row in lines]

    def _contact(self, row: list[str]) -> "Row | BadLine":
        ref, number, locale, zone = (row[at] if at is not None else "" for at in self._own)
        attributes: dict[str, Any] = {}
        for name, at in self._columns or ():
            word = row[at]
            if word:
                value = value_of(word, self._schema.kind(name) or self._guessed.get(name))
                attributes[name] = word if value is None else value
        return Row(ref, number, locale or None, zone or None, attributes)

    def column(self, name: str) -> int | None:
        header = self._rows.header or []
        return header.index(name) + 1 if name in header else None

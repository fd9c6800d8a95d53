"""CSV as people's programs write it, from octets that come in pieces: rows with the number of their line, or what is
wrong with the line. A bad line costs itself alone.

Comma, semicolon, tab or bar, whichever the first line uses. Quotes as in RFC 4180; a quote that nobody closes ends with
its own line. Memory holds one piece and one row.
"""

import csv
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

LONGEST_ROW: Final = 64 * 1024
MOST_LINES_OF_A_ROW: Final = 200
DELIMITERS: Final = (",", ";", "\t", "|")
ENCODINGS: Final = {"utf-8": "utf-8", "windows-1252": "cp1252", "iso-8859-1": "latin-1", "iso-8859-15": "iso8859-15"}
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")  # what UTF-16 begins with
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


class BadLine(NamedTuple):
    """`column` counts from 1; None when the whole line is meant."""

    field: str
    column: int | None
    code: str
    detail: str


class HeaderError(ValueError):
    """The first line cannot be one: nothing was read."""


class CsvRows:
    """`needed`: columns that the first line must have. `line`: number of the first line after it, for a piece of a
    longer file that begins with the file's first line again."""

    def __init__(self, needed: tuple[str, ...], encoding: str = "utf-8", line: int = 2) -> None:
        self._needed, self._encoding = needed, ENCODINGS[encoding]
        self.header: list[str] | None = None
        self._delimiter = ","
        self._number = line - 1  # of the last line of a row that is through
        self._rest = b""
        self._skipping = False  # within a line that is too long: refused already, its end is looked for

    def feed(self, piece: bytes) -> Iterator[tuple[int, list[str] | BadLine]]:
        """Rows that end in this piece. HeaderError."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if self._skipping and whole:
            self._skipping = False
            whole.pop(0)
        held = yield from self._rows(whole, last=False)
        if held:
            self._rest = b"\n".join([*held, self._rest])
        if len(self._rest) > 2 * LONGEST_ROW and b"\n" not in self._rest:
            if not self._skipping:
                self._number += 1
                yield self._number, _too_long()
            self._rest, self._skipping = b"", True

    def close(self) -> Iterator[tuple[int, list[str] | BadLine]]:
        """The rows that were left. HeaderError when there was not even a first line."""
        lines, self._rest = self._rest.split(b"\n"), b""
        if lines[-1] == b"" or (self._skipping and len(lines) == 1):
            lines.pop()
        yield from self._rows(lines, last=True)
        if self.header is None:
            raise HeaderError("the file is empty")

    def _rows(self, lines: list[bytes], *, last: bool) -> Generator[tuple[int, list[str] | BadLine], None, list[bytes]]:
        """Answers the lines of a row that goes on."""
        at = 0
        while at < len(lines):
            if self.header is None:
                self._begin(lines[at])
                at += 1
                continue
            count = _lines_of_row(lines, at)
            if count is None and not last and len(lines) - at < MOST_LINES_OF_A_ROW and _size(lines, at) <= LONGEST_ROW:
                return lines[at:]
            row: list[str] | BadLine
            if count is None:
                count, row = 1, BadLine("line", None, "open_quote", "opens a quote that nothing closes")
            else:
                row = self._row(lines[at : at + count])
                if isinstance(row, BadLine) and count > 1:
                    count = 1  # the line that opened the quote is refused; the next ones are read for themselves
            number = self._number + 1
            self._number += count
            at += count
            if row:
                yield number, row
        return []

    def _begin(self, line: bytes) -> None:
        if line.startswith(_WIDE):
            raise HeaderError("the file is in UTF-16: save it as UTF-8")
        try:
            text = line.removeprefix(b"\xef\xbb\xbf").decode(self._encoding).rstrip("\r")
        except UnicodeDecodeError as error:
            raise HeaderError(
                f"the first line is not in {self._encoding}: save the file as UTF-8, or say its `encoding`"
            ) from error
        for delimiter in DELIMITERS:
            try:
                names = [name.strip() for name in next(csv.reader((text,), delimiter=delimiter, strict=True), [])]
            except csv.Error:
                continue
            if all(name in names for name in self._needed):
                break
        else:
            tried = ", ".join(_NAMES.values())
            wanted = " and ".join(self._needed)
            raise HeaderError(
                f"the first line has no columns {wanted} between {tried}: it names the columns, in this spelling"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or "" in names:
            what = f"names {twice[0][:100]} twice" if twice and twice[0] else "has a column without a name"
            raise HeaderError(f"the first line {what}")
        self.header, self._delimiter = names, delimiter

    def _row(self, lines: list[bytes]) -> list[str] | BadLine:
        """One row's words; an empty list for an empty line."""
        assert self.header is not None
        raw = lines[0] if len(lines) == 1 else b"\n".join(lines)
        if len(raw) > LONGEST_ROW:
            return _too_long()
        try:
            text = raw.decode(self._encoding).rstrip("\r")
        except UnicodeDecodeError as error:
            column = len(raw[: error.start].decode(self._encoding).split(self._delimiter))
            name = self.header[column - 1] if column <= len(self.header) else "line"
            return BadLine(
                name,
                column,
                "bad_encoding",
                f"is not in {self._encoding}: save the file as UTF-8, or say its `encoding`",
            )
        if not text or text.isspace():
            return []
        if "\0" in text:
            return BadLine("line", None, "bad_encoding", "holds U+0000, which cannot be stored")
        if '"' in text:
            try:
                row = next(csv.reader((text,), delimiter=self._delimiter, strict=True))
            except csv.Error:
                return BadLine(
                    "line", None, "bad_quotes", "has quotes that do not match: a quote within a word is doubled"
                )
        else:
            row = text.split(self._delimiter)
        if len(row) != len(self.header):
            return BadLine(
                "line", None, "wrong_columns", f"has {len(row)} columns between {_NAMES[self._delimiter]}s where the first line has {len(self.header)}"
            )  # fmt: skip
        return row


def _lines_of_row(lines: list[bytes], at: int) -> int | None:
    """How many lines the row at `at` has; None when a quote is still open at the end, or for too long."""
    if b'"' not in lines[at]:
        return 1
    quotes = size = 0
    for count, line in enumerate(lines[at : at + MOST_LINES_OF_A_ROW], 1):
        quotes += line.count(b'"')
        size += len(line)
        if quotes % 2 == 0:
            return count
        if size > LONGEST_ROW:
            return None
    return None


def _size(lines: list[bytes], at: int) -> int:
    return sum(len(line) for line in lines[at:])


def _too_long() -> BadLine:
    return BadLine("line", None, "too_long", f"is longer than {LONGEST_ROW // 1024} KiB")

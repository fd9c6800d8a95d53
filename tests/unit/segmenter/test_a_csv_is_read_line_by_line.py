"""CSV as people's programs write it: good rows whole, bad lines named, nothing stalls."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.read_csv import LONGEST_ROW, BadLine, CsvRows, HeaderError

HEADER = "ref,number,city\n"


def rows(body: str | bytes, *, piece: int = 7, encoding: str = "utf-8", line: int = 2) -> list[tuple[int, object]]:
    raw = body.encode() if isinstance(body, str) else body
    reader = CsvRows(("ref", "number"), encoding, line)
    found: list[tuple[int, object]] = []
    for at in range(0, len(raw), piece):
        found += reader.feed(raw[at : at + piece])
    return [*found, *reader.close()]


def codes(found: list[tuple[int, object]]) -> list[tuple[int, str]]:
    return [(line, bad.code) for line, bad in found if isinstance(bad, BadLine)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_first_line_tells_the_delimiter(delimiter: str) -> None:
    text = delimiter.join(("ref", "number", "city")) + "\r\n" + delimiter.join(("a", "+336", "Lyon")) + "\r\n"
    assert rows(text) == [(2, ["a", "+336", "Lyon"])]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"ref:number:city\na:+336:Lyon\n", "no columns ref and number"),
        (b"name,number\nAnn,+336\n", "no columns ref and number"),
        (b"", "empty"),
        ("ref,number\na,+336\n".encode("utf-16"), "UTF-16"),
        (b"ref,number,ville_\xe9\n", "UTF-8"),
        (b"ref,number,city,city\n", "names city twice"),
        (b"ref,number,\n", "column without a name"),
    ],
)
def test_a_first_line_that_cannot_be_one_is_refused_in_words(body: bytes, says: str) -> None:
    with pytest.raises(HeaderError, match=says):
        rows(body)


def test_mixed_encodings_cost_the_lines_that_are_not_utf_8_and_name_their_column() -> None:
    body = HEADER.encode() + b"a,+336,Lyon\nb,+336,Orl\xe9ans\nc,+336,Orl\xc3\xa9ans\n"
    found = rows(body)
    assert found[0] == (2, ["a", "+336", "Lyon"])
    assert found[2] == (4, ["c", "+336", "Orléans"])
    bad = found[1][1]
    assert isinstance(bad, BadLine)
    assert (found[1][0], bad.field, bad.column, bad.code) == (3, "city", 3, "bad_encoding")


def test_another_encoding_is_read_when_it_is_said() -> None:
    assert rows("ref,number,city\na,+336,Orléans\n".encode("cp1252"), encoding="windows-1252") == [
        (2, ["a", "+336", "Orléans"])
    ]


def test_a_quoted_word_may_hold_lines_quotes_and_delimiters() -> None:
    found = rows(HEADER + 'a,+336,"Saint-\nÉtienne, ""haut"""\n\nb,+336,Lyon')
    assert found == [(2, ["a", "+336", 'Saint-\nÉtienne, "haut"']), (5, ["b", "+336", "Lyon"])]


def test_a_quote_that_nobody_closes_costs_its_own_line_only() -> None:
    found = rows(HEADER + 'a,+336,6" pipe\nb,+336,Lyon\nc,+336,Nice\n')
    assert codes(found) == [(2, "open_quote")]
    assert [row for _, row in found if not isinstance(row, BadLine)] == [["b", "+336", "Lyon"], ["c", "+336", "Nice"]]


def test_two_stray_quotes_do_not_swallow_the_lines_between_them() -> None:
    found = rows(HEADER + 'a,+336,6" pipe\nb,+336,Lyon\nc,+336,7" pipe\nd,+336,Nice\n')
    assert codes(found) == [(2, "bad_quotes"), (4, "open_quote")]
    assert [line for line, row in found if not isinstance(row, BadLine)] == [3, 5]


def test_a_line_with_another_number_of_columns_is_counted_and_the_next_is_read() -> None:
    assert codes(rows(HEADER + "a,+336\nb,+336,Lyon,69\nc,+336,Nice\n")) == [(2, "wrong_columns"), (3, "wrong_columns")]


def test_a_line_without_an_end_is_refused_once_in_bounded_memory() -> None:
    reader = CsvRows(("ref", "number"))
    found = list(reader.feed(HEADER.encode()))
    for _ in range(50):
        found += list(reader.feed(b"x" * 65_536))
        assert len(reader._rest) <= 2 * LONGEST_ROW + 65_536
    found += list(reader.feed(b"\nb,+336,Lyon\n"))
    assert codes(found) == [(2, "too_long")]
    assert found[-1] == (3, ["b", "+336", "Lyon"])


def test_a_piece_of_a_longer_file_counts_its_lines_as_the_file_does() -> None:
    assert rows(HEADER + "a,+336,Lyon\nb,+336\n", line=1000) == [
        (1000, ["a", "+336", "Lyon"]),
        (1001, BadLine("line", None, "wrong_columns", "has 2 columns between commas where the first line has 3")),
    ]


words = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r"), max_size=12)


@given(st.lists(st.tuples(words, words, words), max_size=20), st.integers(1, 64))
def test_what_a_csv_program_writes_is_read_back_whatever_the_pieces(
    told: list[tuple[str, str, str]], piece: int
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(("ref", "number", "city"))
    writer.writerows(told)
    assert [row for _, row in rows(out.getvalue(), piece=piece)] == [list(row) for row in told]


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_octets_end_in_rows_or_named_lines_each_line_once(noise: bytes, piece: int) -> None:
    found = rows(HEADER.encode() + noise, piece=piece)
    lines = [line for line, _ in found]
    assert lines == sorted(set(lines))
    assert not lines or lines[-1] <= noise.count(b"\n") + 2

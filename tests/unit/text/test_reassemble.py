"""Whatever order parts come in, the text is the one that was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.text.encoding import Encoding
from shared.text.national import DEFAULT, Language, Shift
from shared.text.plan import plan
from shared.text.reassemble import Whole, join
from shared.text.received import Content, read_content
from shared.text.udh import Concatenation, LongMessage


def parts_of(text: str, reference: int, method: LongMessage = LongMessage.UDH8) -> list[Content]:
    planned = plan(text, long_message=method, national={Language.TURKISH})
    return [
        read_content(piece.short_message, planned.data_coding, has_udh=bool(planned.esm_class & 0x40), tlvs=piece.tlvs)
        for piece in planned.pieces(reference)
    ]


def part(number: int, total: int, octets: bytes, encoding: Encoding | None = Encoding.GSM7) -> Content:
    return Content(octets, encoding, DEFAULT, Concatenation(1, total, number))


some = st.text(st.sampled_from("ab€{éğ中😀"), min_size=1, max_size=30)
texts = st.builds(lambda first, again, times: first + again * times, some, some, st.integers(5, 30))


@given(texts, st.sampled_from([LongMessage.UDH8, LongMessage.UDH16, LongMessage.SAR]), st.data())
def test_any_order_of_parts_gives_the_text(text: str, method: LongMessage, data: st.DataObject) -> None:
    arriving = data.draw(st.permutations(parts_of(text, 300, method)))
    assert join(arriving, len(arriving)) == Whole(text, ())


@given(texts, st.data())
def test_parts_that_got_lost_are_named_and_leave_no_trace(text: str, data: st.DataObject) -> None:
    parts = parts_of(text, 5)
    if len(parts) == 1:
        return
    lost = data.draw(st.sets(st.integers(1, len(parts)), min_size=1, max_size=len(parts) - 1))
    there = [content for number, content in enumerate(parts, 1) if number not in lost]
    alone = [join([content._replace(concatenation=None)], 1).text for content in there]
    assert join(there, len(parts)) == Whole("".join(text or "" for text in alone), tuple(sorted(lost)))


@pytest.mark.parametrize(
    ("first", "second", "encoding", "text"),
    [
        (b"\xd8\x3d", b"\xde\x00", Encoding.UCS2, "😀"),  # a surrogate pair cut in two
        (b"\x1b", b"e", Encoding.GSM7, "€"),  # an escape pair cut in two
        (b"\x00", b"\x00a", Encoding.UCS2, "\ufffda"),  # half a character stays half
        (b"\1", b"\2", None, None),
    ],
)
def test_a_pair_that_a_phone_cut_in_two_is_read_whole(
    first: bytes, second: bytes, encoding: Encoding | None, text: str | None
) -> None:
    assert join([part(2, 2, second, encoding), part(1, 2, first, encoding)], 2).text == text


def test_each_part_is_read_by_its_own_tables() -> None:
    parts = [part(1, 2, b"\x0b")._replace(shift=Shift(locking=Language.TURKISH)), part(2, 2, b"\x0b")]
    assert join(parts, 2).text == "ĞØ"


def test_a_repr_shows_no_text() -> None:
    assert "secret" not in repr(Whole("secret", ()))

"""A carrier's own labels and words are hints: what everybody writes is still read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import MessageState, Receipt, ReceiptGrammar, parse_receipt

GRAMMAR = ReceiptGrammar(
    labels={"msgid": "id", "Final_Date": "done date", "error code": "err", "status": "stat"},
    states={"Sent": MessageState.DELIVERED, "42": MessageState.REJECTED, "UNKNOWN": MessageState.ENROUTE},
)
USUAL = b"id:1 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000 text:hello"


def read(content: bytes, grammar: ReceiptGrammar = GRAMMAR) -> Receipt:
    return parse_receipt(DeliverSm(sequence_number=1, esm_class=4, short_message=content), grammar=grammar)


@pytest.mark.parametrize(
    ("content", "receipt"),
    [
        (
            b"msgid:77 final date:2401011201 status:sent error_code:007 text:x",
            Receipt("77", MessageState.DELIVERED, "7", "", "2401011201"),
        ),
        (b"MsgId: 77, Status: EXPIRED, Error Code: 0A", Receipt("77", MessageState.EXPIRED, "0A")),
        (b"id:77 stat:42", Receipt("77", MessageState.REJECTED)),
        (b"id:77 stat:2", Receipt("77", MessageState.DELIVERED)),
        (b"id:77 stat:UNKNOWN err:000", Receipt("77", MessageState.ENROUTE, "0")),
        (USUAL.replace(b"DELIVRD", b"UNKNOWN"),
         Receipt("1", MessageState.ENROUTE, "0", "2401011200", "2401011201", 1, 1)),
    ],
)  # fmt: skip
def test_a_carriers_own_labels_and_words_are_read(content: bytes, receipt: Receipt) -> None:
    assert read(content) == receipt


def test_without_the_hints_they_mean_nothing() -> None:
    assert read(b"msgid:77 status:sent", ReceiptGrammar()) == Receipt()


def test_what_everybody_writes_is_read_as_before() -> None:
    assert read(USUAL) == read(USUAL, ReceiptGrammar())


def test_a_label_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="stands for one of"):
        ReceiptGrammar(labels={"x": "y"})


@given(st.binary(max_size=200), st.text("a.*+?([\\ _", min_size=1, max_size=5))
def test_no_octets_and_no_label_make_it_raise(octets: bytes, label: str) -> None:
    assert isinstance(read(octets, ReceiptGrammar(labels={label: "id"})), Receipt)

"""What the codec costs, beside smpplib in the same run: .venv/bin/python tests/bench/codec.py

Each figure is the best of several rounds, in microseconds a call: the others measure the machine's other work.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from timeit import repeat
from typing import Any

from shared.carriers.registry import load_profile
from shared.smpp import pdu as p
from shared.smpp.frames import FrameSplitter
from shared.smpp.receipt import parse_receipt
from shared.smpp.times import format_relative
from shared.text.national import Language
from shared.text.plan import plan
from shared.text.reassemble import Reassembler, Whole
from shared.text.received import read_content
from shared.text.udh import LongMessage
from smpplib import smpp
from smpplib.gsm import make_parts

ROUNDS, SECONDS_A_ROUND = 7, 0.05
TEXT = "Bonjour, votre commande est prete a retirer @ 12h. Répondez STOP pour ne plus recevoir de messages, merci à vous tous"
TURKISH = (
    "Sayın müşterimiz, siparişiniz hazırlandı ve mağazamızda sizi bekliyor. İyi günler dileriz, teşekkür ederiz. IPTAL"
)
EVERY_LANGUAGE = frozenset(Language)
RECEIPT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000 text:Bonjour"
)
DIALECT = b"id:0123456789 submit date:180903120815 done date:180903120816 DELIVRD err:000 Text:Bonjour"


class Sequence:
    sequence = 0

    def next_sequence(self) -> int:
        return 1


def microseconds(call: Callable[[], Any]) -> float:
    once = min(repeat(call, number=100, repeat=3)) / 100
    number = max(1, int(SECONDS_A_ROUND / once))
    return min(repeat(call, number=number, repeat=ROUNDS)) / number * 1e6


def show(what: str, ours: Callable[[], Any], theirs: Callable[[], Any] | None = None) -> None:
    mine = microseconds(ours)
    if theirs is None:
        print(f"{what:<52}{mine:>8.2f}")
        return
    yours = microseconds(theirs)
    print(f"{what:<52}{mine:>8.2f}{yours:>10.2f}{yours / mine:>8.0f}x")


def main() -> None:
    client = Sequence()
    octets = TEXT.encode("latin-1")
    fields = {
        "source_addr_ton": 5,
        "source_addr_npi": 0,
        "source_addr": "RELAIS",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": "33600000000",
        "registered_delivery": 1,
        "short_message": octets,
    }

    def their_submit() -> bytes:
        built = smpp.make_pdu("submit_sm", client=client, **fields)
        generated: bytes = built.generate()
        return generated

    built = p.SubmitSm(sequence_number=1, **fields)
    submit = p.encode(built)
    assert their_submit()[16:] == submit[16:]
    response = p.encode(p.SubmitSmResp(sequence_number=1, message_id="0123456789"))
    deliver = p.DeliverSm(
        sequence_number=1,
        source_addr="33600000000",
        destination_addr="RELAIS",
        esm_class=4,
        short_message=RECEIPT,
        tlvs={0x001E: b"0123456789\0", 0x0427: b"\2"},
    )
    receipt = p.encode(deliver)
    dialect = p.DeliverSm(sequence_number=1, esm_class=4, short_message=DIALECT)
    stream = (response + receipt) * 50
    splitter = FrameSplitter()
    jsmpp = load_profile("jsmpp")

    print(f"{'microseconds a call':<52}{'ours':>8}{'smpplib':>10}{'ratio':>9}")
    show("build and encode submit_sm", lambda: p.encode(p.SubmitSm(sequence_number=1, **fields)), their_submit)
    show("encode submit_sm that is built", lambda: p.encode(built))
    show("parse submit_sm", lambda: p.decode(submit), lambda: smpp.parse_pdu(submit, client=client))
    show("parse submit_sm, strictly", lambda: p.decode(submit, strict=True))
    show("parse submit_sm_resp", lambda: p.decode(response), lambda: smpp.parse_pdu(response, client=client))
    show("parse deliver_sm with two TLVs", lambda: p.decode(receipt), lambda: smpp.parse_pdu(receipt, client=client))
    show("encode deliver_sm_resp", lambda: p.encode(p.DeliverSmResp(sequence_number=1)))
    show("split 100 PDUs (a PDU: a hundredth)", lambda: splitter.feed(stream))
    show("read a receipt, example's form and TLVs", lambda: parse_receipt(deliver))
    show("read a receipt, another dialect", lambda: parse_receipt(dialect))
    show("canonical id, plain", lambda: load_profile("plain").canonical_id_from_response("0123456789"))
    show("canonical id, hexadecimal", lambda: jsmpp.canonical_id_from_response("39f99dd5"))
    show(f"plan {len(TEXT)} GSM characters", lambda: plan(TEXT), lambda: make_parts(TEXT))
    show("plan and split 3 GSM parts", lambda: plan(TEXT * 3).payloads(7), lambda: make_parts(TEXT * 3))
    show("plan and split 3 GSM parts for SAR", lambda: plan(TEXT * 3, long_message=LongMessage.SAR).pieces(7))
    turkish = frozenset({Language.TURKISH})
    show(f"plan {len(TURKISH)} Turkish characters, table allowed", lambda: plan(TURKISH, national=turkish).payloads(7))
    show("plan them with every table allowed", lambda: plan(TURKISH, national=EVERY_LANGUAGE).payloads(7))
    show("plan them transliterated", lambda: plan(TURKISH, transliterate=True).payloads(7))
    halves = [
        read_content(payload, 0, has_udh=True) for payload in plan(TEXT * 2, long_message=LongMessage.UDH8).payloads(7)
    ]
    reassembler, clock = Reassembler(timeout_ms=1), count()

    def put_together() -> list[Whole]:
        now = next(clock) * 10
        return [whole for half in halves for whole in reassembler.add("", half, now)]

    assert put_together()[0].text == TEXT * 2
    show("put an inbound message together from 2 parts", put_together)
    hour = timedelta(hours=1)
    show("write a relative time", lambda: format_relative(hour))
    show("plan and split 2 UCS-2 parts", lambda: plan(TEXT + "ê").payloads(7), lambda: make_parts(TEXT + "ê"))


if __name__ == "__main__":
    main()

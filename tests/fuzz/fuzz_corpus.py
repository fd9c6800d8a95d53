"""Valid octets to begin with, and the ways to spoil them."""

from random import Random

from shared.smpp import pdu as p
from shared.smpp.pdu import encode
from shared.text.national import Language
from shared.text.plan import plan
from shared.text.udh import LongMessage

RECEIPTS = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000 text:hello",
    b"id:ce5bc5a9-4f7d-4282-9244-2e1022a9335c submit date:180903120815 done date:180903120816 DELIVRD err:000 Text:",
    b"id:rdwjwxns18krxr9936 sub:000 dlvrd:000 submit date:180711070003912+ done date:180711070000012+ stat:UNDELIV",
    b"ID: 77, STAT: 5, ERR: 021",
    b"msgid:77 final date:202401311200 stat:SENT",
)
TEXTS = ("STOP", "a" * 200, "€{}" * 40, "中文" * 60, "😀" * 50, "ğışİ" * 60, "नमस्ते " * 30 + "०", "é" * 170)


def _pdus() -> list[p.Pdu]:
    tlvs = {0x001E: b"0123456789\0", 0x0427: b"\2", 0x0423: b"\3\0\x15"}
    sms = {"source_addr_ton": 5, "source_addr": "RELAIS", "dest_addr_ton": 1, "destination_addr": "33600000000"}
    return [
        p.SubmitSm(sequence_number=1, short_message=b"hello", **sms),
        p.SubmitSm(
            sequence_number=2,
            service_type="CMT",
            esm_class=0x40,
            validity_period="000001000000000R",
            schedule_delivery_time="240131120000004+",
            short_message=b"\5\0\3\1\2\1hello",
            **sms,
        ),
        p.SubmitSm(sequence_number=3, tlvs={0x0424: b"long" * 100, 0x020C: b"\0\1"}, **sms),
        *(p.DeliverSm(sequence_number=4, esm_class=4, short_message=text, tlvs=tlvs, **sms) for text in RECEIPTS),
        p.DeliverSm(sequence_number=5, data_coding=8, short_message="STOP".encode("utf-16-be"), **sms),
        p.SubmitSmResp(sequence_number=6, message_id="0123456789abcdef"),
        p.SubmitSmResp(sequence_number=7, command_status=0x58),
        p.SubmitSmResp(sequence_number=8, message_id="x", tlvs={0x0428: b"\x50"}),
        p.DeliverSmResp(sequence_number=9),
        p.BindTransceiver(sequence_number=10, system_id="relais", password="secret", system_type="SMPP"),
        p.BindTransmitterResp(sequence_number=11, system_id="SMSC", tlvs={0x0210: b"\x34"}),
        p.BindReceiverResp(sequence_number=12, command_status=0x0E),
        p.EnquireLink(sequence_number=13),
        p.EnquireLinkResp(sequence_number=14),
        p.Unbind(sequence_number=15),
        p.UnbindResp(sequence_number=16),
        p.GenericNack(sequence_number=17, command_status=3),
    ]


def seeds(target: str) -> list[bytes]:
    """Valid inputs of one target."""
    frames = [encode(pdu) for pdu in _pdus()]
    if target == "pdu":
        return [frame[4:] for frame in frames]
    if target == "stream":
        return [bytes([step]) + b"".join(frames[at : at + 4]) for at in range(len(frames)) for step in (0, 15, 70)]
    if target == "receipt":
        return [bytes([flags]) + text for text in RECEIPTS for flags in (0, 1, 3, 4, 16, 49)] + [
            bytes([8]) + text.decode().encode("utf-16-be") for text in RECEIPTS
        ]
    if target == "times":
        return [b"240131120000004+", b"000001000000000R", b"991231235959948-"]
    found = []
    for text in TEXTS:
        for method in LongMessage:
            planned = plan(text, long_message=method, national=Language)
            for piece in planned.pieces(7):
                content = piece.short_message or piece.tlvs[0x0424]
                found.append(bytes([planned.data_coding, planned.esm_class >> 6]) + content)
    return found


_TELLING = (0, 1, 2, 3, 4, 5, 8, 0x0F, 0x1B, 0x20, 0x24, 0x25, 0x34, 0x3A, 0x40, 0x7F, 0x80, 0xD8, 0xDC, 0xFE, 0xFF)
_WORDS = (
    b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x10", b"\0\1\x10\0", b"\x04\x24\xff\xff", b"\x00\x1e\x00\x00",
    b"\x04\x27\x00\x01\x02", b"id:", b" stat:", b" err:", b" text:", b" done date:", b"submit date:", b"DELIVRD",
    b"\x1b", b"\x1b\x1b", b"\xd8\x00", b"\xdc\x00", b"\x05\x00\x03\x01\x02\x01", b"\x06\x08\x04\x00\x01\x02\x01",
    b"\x03\x24\x01\x06", b"\x03\x25\x01\x0d", b"99", b"R", b"+", b"-",
)  # fmt: skip
_LONGEST = 2048


def spoil(data: bytes, others: list[bytes], random: Random) -> bytes:
    """One to four small damages: a bit, an octet, a word, a cut, a repeat, another input's tail."""
    octets = bytearray(data)
    pick = random.random
    for _ in range(1 + int(pick() * pick() * 4)):
        size = len(octets)
        at = int(pick() * size)
        way = int(pick() * 9)
        if not size or way == 0:
            word = _WORDS[int(pick() * len(_WORDS))]
            octets[at:at] = word
        elif way == 1:
            octets[at] ^= 1 << int(pick() * 8)
        elif way == 2:
            octets[at] = int(pick() * 256)
        elif way == 3:
            octets[at] = _TELLING[int(pick() * len(_TELLING))]
        elif way == 4:
            word = _WORDS[int(pick() * len(_WORDS))]
            octets[at : at + len(word)] = word
        elif way == 5:
            del octets[at : at + 1 + int(pick() * 8)]
        elif way == 6:
            del octets[at:]
        elif way == 7:
            octets[at:at] = octets[at : at + 1 + int(pick() * 40)]
        else:
            other = others[int(pick() * len(others))]
            octets[at:] = other[int(pick() * len(other)) :]
    return bytes(octets[:_LONGEST])

"""The SMSCs that others wrote do run here: a bind, a message and its receipt with each, by smpplib."""

import asyncio
import re
import time
from dataclasses import dataclass, field

import pytest
import smpplib.client
import smpplib.exceptions
from support.peers.jsmpp import jsmpp_smsc
from support.peers.node_smpp import node_smpp_smsc

RECEIPT = 0x04  # esm_class of an SMSC delivery receipt
THROTTLED = 0x58
PATIENCE_S = 20


@dataclass
class Heard:
    """What the ESME got: ids and statuses of responses, receipts' texts, other texts."""

    ids: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)
    inbound: list[str] = field(default_factory=list)


class Esme:
    """smpplib blocks, so its steps run in threads."""

    def __init__(self, port: int, system_id: str, password: str) -> None:
        self.heard = Heard()
        self._account = {"system_id": system_id, "password": password}
        self._client = smpplib.client.Client("127.0.0.1", port, timeout=5, allow_unknown_opt_params=True)
        self._client.set_message_sent_handler(self._answered)
        self._client.set_message_received_handler(self._delivered)
        self._client.set_error_pdu_handler(lambda pdu: None)  # by default a refused submit raises

    async def __aenter__(self) -> "Esme":
        await asyncio.to_thread(self._client.connect)
        await asyncio.to_thread(self._client.bind_transceiver, **self._account)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._client.disconnect)

    async def submit(self, to: str, text: bytes) -> None:
        await asyncio.to_thread(
            self._client.send_message,
            source_addr_ton=5,
            source_addr="Relais",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=to,
            short_message=text,
            registered_delivery=True,
        )

    async def listen(self, kind: str, count: int = 1) -> None:
        """Read until there are `count` of that kind."""
        end = time.monotonic() + PATIENCE_S
        while len(getattr(self.heard, kind)) < count:
            assert time.monotonic() < end, f"too few {kind} came"
            await asyncio.to_thread(self._client.read_once)

    def _answered(self, pdu: smpplib.command.SubmitSMResp) -> None:
        self.heard.statuses.append(pdu.status)
        if pdu.message_id:
            self.heard.ids.append(pdu.message_id.decode())

    def _delivered(self, pdu: smpplib.command.DeliverSM) -> None:
        kind = self.heard.receipts if pdu.esm_class & RECEIPT else self.heard.inbound
        kind.append(pdu.short_message.decode())


def fields(receipt: str) -> dict[str, str]:
    return dict(re.findall(r"(id|stat|err):(\S*)", receipt))


async def test_jsmpp_answers_in_hexadecimal_and_reports_in_decimal():
    async with jsmpp_smsc() as smsc, Esme(smsc.port, smsc.system_id, smsc.password) as esme:
        await esme.submit("33600000001", b"Bonjour")
        await esme.listen("ids")
        await esme.listen("receipts")
        await esme.listen("inbound")
    receipt = fields(esme.heard.receipts[0])
    assert int(receipt["id"]) == int(esme.heard.ids[0], 16)
    assert receipt["stat"] == "DELIVRD"
    assert esme.heard.inbound == ["Hello World"]


async def test_node_smpp_answers_reports_throttles_as_told_and_sends_inbound():
    async with (
        node_smpp_smsc(receipt_delay_ms=50, throttle_first=1) as smsc,
        Esme(smsc.port, smsc.system_id, smsc.password) as esme,
    ):
        for to in ("33600000001", "33600000002", "33600000009"):
            await esme.submit(to, "Bonjour ?".encode("ascii"))
        await esme.listen("receipts", 2)
        await smsc.inject("33600000002", "36180", "STOP")
        await esme.listen("inbound")
        submits = await smsc.submits()
    assert esme.heard.statuses == [THROTTLED, 0, 0]
    stats = {fields(receipt)["id"]: fields(receipt)["stat"] for receipt in esme.heard.receipts}
    assert stats == dict(zip(esme.heard.ids, ["DELIVRD", "UNDELIV"], strict=True))
    assert [(submit["id"], submit["to"], submit["text"]) for submit in submits] == [
        (esme.heard.ids[0], "33600000002", "Bonjour ?"),
        (esme.heard.ids[1], "33600000009", "Bonjour ?"),
    ]
    assert esme.heard.inbound == ["STOP"]


@pytest.mark.parametrize("peer", [jsmpp_smsc, node_smpp_smsc])
async def test_a_peer_refuses_a_wrong_password(peer):
    async with peer() as smsc:
        with pytest.raises(smpplib.exceptions.PDUError):
            async with Esme(smsc.port, smsc.system_id, "wrong"):
                pass

"""An ESME that others wrote, against the simulator: smpplib over a real socket, in a thread because it blocks."""

import asyncio

import smpplib.client
import smpplib.consts
import smpplib.exceptions
from console.smsc import Smsc
from smpplib.command import DeliverSM


def _bind_send_and_read_the_receipt(port: int) -> tuple[bytes, DeliverSM]:
    client = smpplib.client.Client("127.0.0.1", port, timeout=5, allow_unknown_opt_params=True)
    responses, receipts = [], []
    client.set_message_sent_handler(lambda pdu: responses.append(pdu.message_id))
    client.set_message_received_handler(lambda pdu: receipts.append(pdu))
    client.connect()
    try:
        client.bind_transceiver(system_id="relais", password="secret")
        client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
            source_addr="Relais",
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            destination_addr="33600000001",
            short_message=b"Bonjour",
            registered_delivery=True,
        )
        while not receipts:
            client.read_once()
        client.unbind()
    finally:
        client.disconnect()
    return responses[0], receipts[0]


async def test_smpplib_binds_submits_gets_its_receipt_and_unbinds(start_smsc):
    smsc: Smsc = await start_smsc()
    message_id, receipt = await asyncio.to_thread(_bind_send_and_read_the_receipt, smsc.port)
    assert receipt.esm_class == 0x04  # SMSC delivery receipt (SMPP 3.4, section 5.2.12)
    assert receipt.receipted_message_id.rstrip(b"\0") == message_id == smsc.history.rows()[0].message_id
    assert receipt.short_message.startswith(b"id:" + message_id + b" sub:001 dlvrd:001 submit date:")
    assert receipt.short_message.endswith(b" stat:DELIVRD err:000 text:Bonjour")
    assert receipt.message_state == smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED
    assert (receipt.source_addr, receipt.destination_addr) == (b"33600000001", b"Relais")
    assert smsc.counters.receipts_acked == 1
    assert smsc.sessions() == []

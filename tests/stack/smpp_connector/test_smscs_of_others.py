"""The connector and SMSCs that others wrote: messages of every length are taken, and each part's receipt matches."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from stack.smpp_connector.conftest import MakeWire, eventually
from support.peers.ch_smpp import ch_smpp_smsc
from support.peers.jsmpp import jsmpp_smsc
from support.peers.node_smpp import node_smpp_smsc
from support.peers.python_peers import smpp34_smsc

pytestmark = pytest.mark.stack

Peer = Callable[[], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def jsmpp():
    async with jsmpp_smsc() as smsc:
        yield smsc.port


@asynccontextmanager
async def node():
    async with node_smpp_smsc(receipt_delay_ms=50) as smsc:
        yield smsc.port


@pytest.mark.parametrize(
    ("peer", "profile"),
    [
        pytest.param(ch_smpp_smsc, "plain", id="ch-smpp"),
        pytest.param(smpp34_smsc, "plain", id="smpp34"),
        pytest.param(jsmpp, "jsmpp", id="jsmpp"),
        pytest.param(node, "node_smpp", id="node-smpp"),
    ],
)
async def test_an_smsc_of_others_takes_everything_and_its_receipts_match(
    make_wire: MakeWire, peer: Peer, profile: str
) -> None:
    async with peer() as port:
        wire = await make_wire(port=port, profile=profile, system_id="test", password="test", window=10)
        process = await wire.running()
        requests = [*await wire.flood(40), await wire.message("Ünïcode 中 " * 20, parts=4)]
        await wire.submit(requests[-1])
        await wire.all_ended(requests)
        ends = wire.submitted()
        assert {ends[r.message_id].outcome for r in requests} == {"submitted"}
        ids = {part.carrier_message_id for r in requests for part in ends[r.message_id].parts}
        assert len(ids) == sum(len(ends[r.message_id].parts) for r in requests)
        await eventually(lambda: ids <= {e.carrier_message_id for e in wire.seen["ReceiptReceived"]})
        assert await process.stop() == 0

"""An SMSC on node-smpp 0.5.1: UUIDs as ids, receipts after a delay, UNDELIV for numbers that end in 9."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from support.peers.prepare import prepared, run
from support.peers.process import free_port, peer_process

_SOURCE = Path(__file__).parent / "node_smpp"


@dataclass(frozen=True)
class NodeSmsc:
    port: int
    control_port: int
    system_id: str = "test"
    password: str = "test"

    async def submits(self) -> list[dict[str, Any]]:
        """What it took, in order, as node-smpp read it.

        `id`, `from`, `to`, `esm_class`, `data_coding`, `registered_delivery`, `udh` (elements in hexadecimal),
        `text` (decoded; hexadecimal if the data_coding is binary).
        """
        async with aiohttp.ClientSession() as http, http.get(self._url("submits")) as answer:
            submits: list[dict[str, Any]] = await answer.json()
            return submits

    async def inject(self, source: str, destination: str, text: str) -> None:
        """Send a mobile-originated message to the first receiver. Raises RuntimeError if none is bound."""
        message = {"from": source, "to": destination, "text": text}
        async with aiohttp.ClientSession() as http, http.post(self._url("inbound"), json=message) as answer:
            if not (await answer.json())["receivers"]:
                raise RuntimeError("no receiver is bound")

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.control_port}/{path}"


def prepare_node_smpp() -> Path:
    """The folder with the server and its modules, fetched on the first call."""
    declared = [_SOURCE / name for name in ("package.json", "package-lock.json", "server.js")]

    def install(folder: Path) -> None:
        for path in declared:
            shutil.copy(path, folder)
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)

    return prepared("node_smpp", declared, install)


@asynccontextmanager
async def node_smpp_smsc(receipt_delay_ms: int = 100, throttle_first: int = 0) -> AsyncIterator[NodeSmsc]:
    """A running SMSC on free loopback ports, which throttles the first `throttle_first` submits."""
    folder = await asyncio.to_thread(prepare_node_smpp)
    smsc = NodeSmsc(free_port(), free_port())
    options = {
        "port": smsc.port,
        "controlPort": smsc.control_port,
        "systemId": smsc.system_id,
        "password": smsc.password,
        "receiptDelayMs": receipt_delay_ms,
        "throttleFirst": throttle_first,
    }
    command = ["node", str(folder / "server.js"), json.dumps(options)]
    async with peer_process(command, [smsc.port, smsc.control_port], folder / "last_run.log"):
        yield smsc

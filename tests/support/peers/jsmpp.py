"""jSMPP's SMSC simulator (org.jsmpp:jsmpp-examples 3.0.1).

How it deviates from what a reader of the specification expects:
- ids are hexadecimal in submit_sm_resp and decimal in receipts, leading zeros dropped;
- it sends one mobile-originated message ("Hello World" from 555 to 12345) after the bind, and it may come before a response;
- the receipt's text repeats the message's octets, user data header included;
- submit_sm_resp carries congestion_state (TLV 0x0428), which 3.4 does not know;
- it delivers to transceivers only.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.peers.prepare import prepared, run
from support.peers.process import free_port, peer_process

_POM = Path(__file__).parent / "jsmpp" / "pom.xml"


@dataclass(frozen=True)
class JsmppSmsc:
    port: int
    system_id: str = "test"
    password: str = "test"


def prepare_jsmpp() -> Path:
    """The folder with its archives, fetched on the first call."""

    def copy_archives(folder: Path) -> None:
        shutil.rmtree(folder / "lib", ignore_errors=True)  # an older version's archives would be found first
        run(
            ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"],
            cwd=folder,
        )

    return prepared("jsmpp", [_POM], copy_archives)


@asynccontextmanager
async def jsmpp_smsc() -> AsyncIterator[JsmppSmsc]:
    """A running simulator on a free loopback port."""
    folder = await asyncio.to_thread(prepare_jsmpp)
    smsc = JsmppSmsc(free_port())
    command = [
        "java",
        "-Xmx128m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",  # below that it logs whole messages
        f"-Djsmpp.simulator.port={smsc.port}",
        f"-Djsmpp.client.systemId={smsc.system_id}",
        f"-Djsmpp.client.password={smsc.password}",
        "-cp",
        f"{folder / 'lib'}/*",
        "org.jsmpp.examples.SMPPServerSimulator",
    ]
    async with peer_process(command, [smsc.port], folder / "last_run.log"):
        yield smsc

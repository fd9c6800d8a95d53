"""An SMSC made with com.fizzed:ch-smpp 5.0.9, cloudhopper's library: a hundred lines of Java, run from their source."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.peers.prepare import prepared, run
from support.peers.process import free_port, peer_process

_HERE = Path(__file__).parent / "ch_smpp"


def prepare_ch_smpp() -> Path:
    """The folder with its archives and classes, made on the first call."""

    def make(folder: Path) -> None:
        shutil.rmtree(folder / "lib", ignore_errors=True)
        pom = str(_HERE / "pom.xml")
        run(
            ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"],
            folder,
        )
        run(["javac", "-cp", f"{folder / 'lib'}/*", "-d", str(folder / "classes"), str(_HERE / "Server.java")], folder)

    return prepared("ch_smpp", [_HERE / "pom.xml", _HERE / "Server.java"], make)


@asynccontextmanager
async def ch_smpp_smsc() -> AsyncIterator[int]:
    """A running SMSC on a free loopback port, which it gives; the password is `test`."""
    folder = await asyncio.to_thread(prepare_ch_smpp)
    port = free_port()
    command = ["java", "-Xmx128m", "-cp", f"{folder / 'classes'}:{folder / 'lib'}/*", "Server", str(port)]
    async with peer_process(command, [port], folder / "last_run.log"):
        yield port

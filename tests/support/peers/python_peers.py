"""SMPP libraries of others for Python, in a folder of their own: the bench compares with them, a test talks to one.

smpp34 is a Rust core with a Python face; its server's sessions are pulled from one queue.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.peers.prepare import prepared, run
from support.peers.process import free_port, peer_process

_HERE = Path(__file__).parent / "python"


def prepare_python_peers() -> Path:
    """The folder to put on the path, filled on the first call."""
    asked = _HERE / "requirements.txt"

    def fetch(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--upgrade"]
        run([*pip, "--target", str(folder), "-r", str(asked)], folder)

    return prepared("python", [asked], fetch)


@asynccontextmanager
async def smpp34_smsc() -> AsyncIterator[int]:
    """smpp34's server on a free loopback port, which it gives; it takes any password."""
    folder = await asyncio.to_thread(prepare_python_peers)
    port = free_port()
    command = ["env", f"PYTHONPATH={folder}", sys.executable, str(_HERE / "smpp34_server.py"), str(port)]
    async with peer_process(command, [port], folder / "last_run.log"):
        yield port

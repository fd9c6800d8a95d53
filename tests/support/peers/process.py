"""Start a peer, wait until it answers, stop it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

_START_S = 30.0
_STOP_S = 5.0


def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def peer_process(command: Sequence[str], ports: Sequence[int], log: Path) -> AsyncIterator[None]:
    """Run `command` until the block ends; its output goes to `log`. Enters when it listens on every port.

    Raises RuntimeError if the process ends or stays closed for 30 s.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        await _listening(process, set(ports), log)
        yield
    finally:
        await _stop(process)


async def _listening(process: asyncio.subprocess.Process, ports: set[int], log: Path) -> None:
    # Asked of the system instead of by a connection: a peer may count it, or wait on it for a bind that never comes.
    end = asyncio.get_running_loop().time() + _START_S
    while process.returncode is None:
        try:
            sockets = psutil.Process(process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            sockets = []
        if ports <= {one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN}:
            return
        if asyncio.get_running_loop().time() > end:
            raise RuntimeError(f"the peer did not open its ports in time; see {log.name}")
        await asyncio.sleep(0.05)
    raise RuntimeError(f"the peer ended with {process.returncode} before it was ready; see {log.name}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

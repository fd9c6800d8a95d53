"""What dies is started again; what is stopped stays stopped; nothing outlives its patience."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from relais_local.errors import LocalStackError
from relais_local.process import ChildProcess
from relais_local.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, Supervisor, pause_before_restart

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


class Script:
    """A part that is a short Python program."""

    def __init__(self, name: str, code: str, directory: Path) -> None:
        self.name = name
        self.process = ChildProcess(
            name,
            [sys.executable, "-c", code],
            os.environ,
            log=directory / f"{name}.log",
            pid_file=directory / "pids" / name,
        )

    async def start(self) -> None:
        await self.process.start()

    async def stop(self, grace_s: float = 1.0) -> None:
        await self.process.stop(grace_s)


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(structlog.wrap_logger(structlog.ReturnLogger(), processors=[]))


async def eventually(condition: Any, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_pause_stays_between_its_bounds_and_grows(failures: int, jitter: float) -> None:
    pause = pause_before_restart(failures, jitter)
    assert FIRST_PAUSE_S <= pause <= LONGEST_PAUSE_S
    assert pause <= pause_before_restart(failures + 1, jitter)


async def test_killed_process_is_started_again_with_a_new_id(supervisor: Supervisor, tmp_path: Path) -> None:
    part = Script("worker", SLEEPER, tmp_path)
    await supervisor.start(part)
    first = part.process.pid
    supervisor.send("worker", signal.SIGKILL)
    await eventually(lambda: supervisor.restarts["worker"] == 1 and part.process.alive)
    assert part.process.pid != first
    assert (tmp_path / "pids" / "worker").read_text() == f"{part.process.pid}\n"
    await supervisor.stop(["worker"], 1.0)


async def test_stopped_process_stays_stopped_and_leaves_no_id_file(supervisor: Supervisor, tmp_path: Path) -> None:
    part = Script("worker", SLEEPER, tmp_path)
    await supervisor.start(part)
    await supervisor.stop(["worker"], 5.0)
    await asyncio.sleep(2 * FIRST_PAUSE_S)
    assert not part.process.alive
    assert not (tmp_path / "pids" / "worker").exists()
    await supervisor.stop(["worker"], 5.0)


async def test_process_that_ignores_the_request_is_killed_when_its_grace_is_over(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    part = Script("deaf", STUBBORN, tmp_path)
    await supervisor.start(part)
    await eventually(lambda: "deaf" in (tmp_path / "deaf.log").read_text())
    begun = time.monotonic()
    await supervisor.stop(["deaf"], 0.5)
    assert 0.4 < time.monotonic() - begun < 3.0
    assert not part.process.alive


async def test_paused_process_still_hears_the_request_to_end(supervisor: Supervisor, tmp_path: Path) -> None:
    part = Script("frozen", SLEEPER, tmp_path)
    await supervisor.start(part)
    supervisor.send("frozen", signal.SIGSTOP)
    begun = time.monotonic()
    await supervisor.stop(["frozen"], 5.0)
    assert time.monotonic() - begun < 2.0


async def test_process_that_keeps_ending_at_its_start_is_told_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(Script("broken", "raise SystemExit('no such topic')", tmp_path))
    await eventually(lambda: supervisor.restarts["broken"] > 2)
    with pytest.raises(LocalStackError, match=r"broken keeps ending at its start: 'no such topic'"):
        supervisor.check_start(["broken"])
    await supervisor.stop(["broken"], 1.0)


async def test_wrong_setting_is_told_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "import sys; print('setting RELAIS_MASTER_KEY is missing'); sys.exit(78)"
    await supervisor.start(Script("unset", code, tmp_path))
    await eventually(lambda: supervisor.restarts["unset"] > 0)
    with pytest.raises(LocalStackError, match="setting RELAIS_MASTER_KEY is missing"):
        supervisor.check_start(["unset"])
    await supervisor.stop(["unset"], 1.0)


async def test_missing_program_is_told_with_the_remedy(tmp_path: Path) -> None:
    process = ChildProcess("ghost", ["/no/such/program"], {}, log=tmp_path / "ghost.log")
    with pytest.raises(LocalStackError, match="run `make setup`"):
        await process.start()


async def test_children_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = f"""
import asyncio, os
from pathlib import Path
from relais_local.process import ChildProcess
async def main():
    child = ChildProcess("child", ["sleep", "60"], os.environ, log=Path({str(tmp_path)!r}) / "child.log")
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(await parent.stdout.readline()))
    await eventually(lambda: child.name() == "sleep")
    parent.kill()
    await parent.wait()
    await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)

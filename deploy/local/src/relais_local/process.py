"""One child process: started with its output in a file and its id in another, waited for, stopped."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from relais_local.errors import LocalStackError

KEEP_LOG_BYTES = 50_000_000  # a longer log is set aside as `<name>.log.1` when its process starts

OWNER_MARK = "RELAIS_RUN_DIR"  # in the environment of every child: tells ours from a stranger with the same id


class ChildProcess:
    """A process of the stack, in a session of its own: Ctrl-C in the terminal reaches only the supervisor."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        log: Path,
        pid_file: Path | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        orphaned: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`user` runs it when we are root; `orphaned` is what it gets from the kernel when we die before it."""
        self.name = name
        self.log = log
        self._argv = argv
        self._wrapper = (
            "setpriv",
            "--pdeathsig",
            orphaned.name.removeprefix("SIG"),
            "--",
        )  # prctl(2), PR_SET_PDEATHSIG
        self._env = env
        self._pid_file = pid_file
        self._cwd = cwd
        self._user = user
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise LocalStackError(f"{self.name} has not been started: start it before asking for its process id.")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > KEEP_LOG_BYTES:
            self.log.rename(self.log.with_name(self.log.name + ".1"))
        if shutil.which(self._argv[0]) is None:
            raise LocalStackError(f"{self._argv[0]} is not there: run `make setup`.")
        with self.log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *self._wrapper,
                *self._argv,
                env=dict(self._env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._cwd,
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
            )
        if self._pid_file:
            self._pid_file.parent.mkdir(parents=True, exist_ok=True)
            self._pid_file.write_text(f"{self._process.pid}\n")

    async def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        if self._process is None:
            raise LocalStackError(f"{self.name} has not been started: start it before waiting for it.")
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended between the look and the signal

    async def stop(self, grace_s: float, number: signal.Signals = signal.SIGTERM) -> bool:
        """Ask it to end with `number`, kill it after `grace_s` seconds. True when it ended by itself."""
        in_time = True
        if self.alive:
            self.send(signal.SIGCONT)  # one that was paused could not hear the next signal
            self.send(number)
            try:
                await asyncio.wait_for(self.wait(), grace_s)
            except TimeoutError:
                in_time = False
                self.kill_group()
                await self.wait()
        if self._pid_file:
            self._pid_file.unlink(missing_ok=True)
        return in_time

    def kill_group(self) -> None:
        """Kill it and all that it started."""
        if self.alive:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended between the look and the signal

    def last_line(self) -> str:
        return last_line(self.log)


def last_line(log: Path, *, size: int = 8192) -> str:
    """The last line with text in a log, cut to a length fit for a sentence; empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - size))
        lines = [line.strip() for line in source.read().decode(errors="replace").splitlines()]
    return next((line[:300] for line in reversed(lines) if line), "")

"""Keeps processes running: one that dies is started again, with growing pauses."""

import asyncio
import random
import signal
from collections.abc import Sequence
from typing import Any, Protocol

from relais_local.errors import LocalStackError
from relais_local.process import ChildProcess

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
HEALTHY_AFTER_S = 20.0  # a process that lived this long is given the first pause again

EXIT_BAD_SETTING = 78  # EX_CONFIG of sysexits.h: starting it again cannot help


def pause_before_restart(failures: int, jitter: float) -> float:
    """Seconds to wait after the n-th failure in a row (from 1); `jitter` in [0, 1) spreads processes that die at once."""
    full = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (failures - 1))
    return max(FIRST_PAUSE_S, full * (0.5 + jitter / 2))


class Part(Protocol):
    """Something that runs as one process."""

    name: str
    process: ChildProcess

    async def start(self) -> None:
        """Start the process; the parts that others lean on return when they are ready."""

    async def stop(self, grace_s: float = ...) -> None:
        """End the process, by force after `grace_s` seconds."""


class Supervisor:
    """Starts parts, and starts again whatever ends without being asked to."""

    def __init__(self, log: Any) -> None:
        """`log` is a structlog logger: the supervisor's own log."""
        self.parts: dict[str, Part] = {}
        self.restarts: dict[str, int] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._log = log

    async def start(self, part: Part) -> None:
        """Start `part` and watch it from then on. Raises LocalStackError when it cannot start."""
        self.parts[part.name] = part
        self.restarts[part.name] = 0
        await part.start()
        self._log.info("process started", process=part.name, pid=part.process.pid)
        self._watchers[part.name] = asyncio.create_task(self._watch(part), name=f"watch {part.name}")

    async def stop(self, names: Sequence[str], grace_s: float) -> None:
        """Stop these at once, each for good; those unknown or ended already are passed over."""
        parts = [self.parts[name] for name in names if name in self.parts]
        watchers = [self._watchers.pop(part.name) for part in parts if part.name in self._watchers]
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        await asyncio.gather(*(self._stop_one(part, grace_s) for part in parts))

    async def _stop_one(self, part: Part, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await part.stop(grace_s)
        self.parts.pop(part.name, None)
        took = loop.time() - begun
        self._log.info("process stopped", process=part.name, seconds=round(took, 2), killed=took >= grace_s)

    def send(self, name: str, number: signal.Signals) -> None:
        self.parts[name].process.send(number)

    def check_start(self, names: Sequence[str], *, most_restarts: int = 2) -> None:
        """Raise LocalStackError when one of these keeps ending, or ended over a setting, instead of getting ready."""
        for name in names:
            if self.restarts.get(name, 0) > most_restarts:
                process = self.parts[name].process
                raise LocalStackError(
                    f"{name} keeps ending at its start: {process.last_line()!r}; its whole log is {process.log}."
                )

    async def _watch(self, part: Part) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            begun = loop.time()
            code = await part.process.wait()
            failures = 1 if loop.time() - begun > HEALTHY_AFTER_S else failures + 1
            self.restarts[part.name] += 100 if code == EXIT_BAD_SETTING else 1
            await self._again(part, code, failures)

    async def _again(self, part: Part, code: int, failures: int) -> None:
        while True:
            pause = pause_before_restart(failures, random.random())
            self._log.warning("process ended", process=part.name, code=code, restart_in_s=round(pause, 2))
            await asyncio.sleep(pause)
            try:
                await part.start()
            except LocalStackError as error:
                failures += 1
                await part.process.stop(1.0)
                self._log.error("process did not start", process=part.name, error=str(error))
                continue
            self._log.info("process started again", process=part.name, pid=part.process.pid)
            return

"""One stack a checkout: who runs it, how it is sent away, what a dead one left behind."""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator

import psutil

from relais_local.errors import LocalStackError
from relais_local.paths import Paths, outside_home
from relais_local.process import OWNER_MARK

STOPPED_WITHIN_S = 15.0


@contextlib.contextmanager
def only_one(paths: Paths) -> Iterator[None]:
    """Hold the stack's lock, which the kernel lets go when this process ends, however it ends."""
    lock = os.open(paths.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    pid_file = paths.pid("supervisor")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalStackError(
                f"A stack of this checkout runs already{_shown(running(paths))}: stop it with `make down` first."
            ) from None
        pid_file.write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            pid_file.unlink(missing_ok=True)
    finally:
        os.close(lock)


def running(paths: Paths) -> int | None:
    """The process id of the supervisor that holds the lock, or None."""
    if not (paths.run / "lock").exists():
        return None
    lock = os.open(paths.run / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return int(paths.pid("supervisor").read_text())
        except (FileNotFoundError, ValueError):
            return 0  # it is just starting, or just ending
    finally:
        os.close(lock)
    return None


def send_away(paths: Paths) -> bool:
    """Stop the running stack and whatever a dead supervisor left. False when there was nothing to stop."""
    pid = running(paths)
    if pid:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOPPED_WITHIN_S
    while running(paths) is not None:
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"The stack{_shown(pid)} has not ended within {STOPPED_WITHIN_S:.0f} s: see {paths.log('supervisor')}."
            )
        time.sleep(0.05)
    return bool(end_leftovers(paths)) or pid is not None


def end_leftovers(paths: Paths) -> list[str]:
    """End processes whose supervisor is gone; their names. Stale id files are removed."""
    left: dict[str, psutil.Process] = {}
    for file in sorted(paths.pids.glob("*")):
        if file.name == "supervisor":
            continue  # the lock says whether that one lives
        process = _ours(file.read_text().strip(), paths)
        if process is not None:
            left[file.name] = process
        file.unlink(missing_ok=True)
    for name, process in left.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(list(left.values()), timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    paths.env.unlink(missing_ok=True)
    return list(left)


def delete_everything(paths: Paths) -> None:
    """Delete the stopped stack's data, keys and logs."""
    shutil.rmtree(outside_home(paths.run / "postgres"), ignore_errors=True)
    shutil.rmtree(paths.run, ignore_errors=True)


def _ours(pid: str, paths: Paths) -> psutil.Process | None:
    """The living process with this id if this stack started it; ids are used again, so its environment decides."""
    try:
        process = psutil.Process(int(pid))
        if process.environ().get(OWNER_MARK) == str(paths.run.resolve()):
            return process
    except (ValueError, psutil.Error):
        pass  # no number, gone, or somebody else's
    return None


def _shown(pid: int | None) -> str:
    return f" (process {pid})" if pid else ""

"""Fetch what a peer needs into build/peers, once for each content of the files that say what that is."""

import fcntl
import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

BUILD = Path(__file__).parents[3] / "build" / "peers"
_PATIENCE_S = 240


def prepared(name: str, declared_by: Sequence[Path], prepare: Callable[[Path], None]) -> Path:
    """The folder build/peers/<name>, filled by `prepare` unless that was done for these same files before.

    Safe to call from several processes at once.
    """
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".prepared"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in declared_by)).hexdigest()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != digest:
            prepare(folder)
            done.write_text(digest)
    return folder


def run(command: Sequence[str], cwd: Path) -> None:
    """Run to the end. Raises RuntimeError with the last lines of what it said."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_PATIENCE_S)
    if result.returncode:
        last = "\n".join((result.stdout + result.stderr).splitlines()[-20:])
        raise RuntimeError(f"{command[0]} failed while preparing a peer:\n{last}")

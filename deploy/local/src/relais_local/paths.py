"""Where the local stack keeps its things."""

import hashlib
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from relais_local.errors import LocalStackError

CHECKOUT = Path(__file__).resolve().parents[4]

MINIMUM_FREE_BYTES = 1_000_000_000  # Kafka's and PostgreSQL's first files take 200 MB; a demo run adds about 100 MB


@dataclass(frozen=True)
class Paths:
    """`run` holds everything that a running stack writes; `build` what `make setup` brought."""

    run: Path
    build: Path = CHECKOUT / "build"

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @property
    def env(self) -> Path:
        """For scripts: the address and the key, there only while the stack is ready."""
        return self.run / "env"

    @property
    def secrets(self) -> Path:
        return self.run / "secrets.env"

    @property
    def ports(self) -> Path:
        return self.run / "ports.json"

    @property
    def carriers(self) -> Path:
        """The carriers file with real ports and passwords in place, as the connectors read it."""
        return self.run / "carriers.yaml"

    @property
    def stamps(self) -> Path:
        return self.run / "stamps"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> Path:
        return self.pids / name

    def make(self) -> None:
        """Create the directories, and refuse a disk that would fill up under the databases."""
        for directory in (self.run, self.logs, self.pids, self.stamps):
            directory.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o711)  # PostgreSQL's own user passes through; files with secrets are 0600
        free = shutil.disk_usage(self.run).free
        if free < MINIMUM_FREE_BYTES:
            raise LocalStackError(
                f"The disk that holds {self.run} has {free // 1_000_000} MB left and the stack needs "
                f"{MINIMUM_FREE_BYTES // 1_000_000} MB: free some room, or run `make clean`."
            )


def outside_home(directory: Path) -> Path:
    """A place under /var/tmp that belongs to `directory`, for what another user must be able to reach."""
    digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"relais-{digest}"  # noqa: S108 - the name is ours, and it is made with mode 0700


def may_pass(directory: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may pass through `directory` and all above it (execute permission on each)."""
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    for step in (directory, *directory.parents):
        if not step.exists():
            continue
        facts = step.stat()
        shift = 6 if facts.st_uid == user.pw_uid else 3 if facts.st_gid in groups else 0
        if not facts.st_mode >> shift & 0o1:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    draft.replace(path)

"""Which TCP ports the stack listens on: chosen once, kept for the next start, always on loopback."""

import json
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from relais_local.errors import LocalStackError

PREFERRED_API_PORT = 8080

# Below Linux's usual range for outgoing connections (32768 and up): a client's own port can never take ours.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken: Iterable[int] = (), *, choice: random.Random | None = None) -> int:
    """A port on which nothing listens now, none of `taken`."""
    taken = set(taken)
    choice = choice or random.Random()
    for _ in range(1000):
        port = choice.randrange(LOWEST, HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise LocalStackError(f"No free port between {LOWEST} and {HIGHEST}: stop what listens there and try again.")


def choose_ports(
    names: Iterable[str], kept: Mapping[str, int], *, prefer: Mapping[str, int] | None = None
) -> dict[str, int]:
    """A free port for each name: the one of last time where it is free, then the preferred one, then any."""
    prefer = prefer or {}
    chosen: dict[str, int] = {}
    for name in names:
        candidates = [port for port in (kept.get(name), prefer.get(name)) if port is not None]
        usable = (port for port in candidates if port not in chosen.values() and is_free(port))
        chosen[name] = next(usable, 0) or free_port([*chosen.values(), *kept.values()])
    return chosen


def load_ports(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text())
        return {str(name): int(port) for name, port in kept.items()}
    except (ValueError, AttributeError, TypeError):
        return {}  # a broken file costs only the habit: other ports are chosen and written anew


def save_ports(path: Path, ports: Mapping[str, int]) -> None:
    path.write_text(json.dumps(dict(ports), indent=2) + "\n")

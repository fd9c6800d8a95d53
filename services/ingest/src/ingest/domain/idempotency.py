"""Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header): is this request new, a repeat, or a clash?"""

import re
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final

KEPT_S: Final = 24 * 3600
LEASE_MS: Final = 1_500  # a dead process's rows are free after this: within the promised 2 s
HEARTBEAT_S: Final = 0.5  # three chances to renew within a lease

# Section 2.1: a Structured Field string. The bare form is what most callers send.
_KEY = re.compile(r'"([ !#-\[\]-~]{1,255})"|([!#-\[\]-~]{1,255})')


def parse_idempotency_key(written: str) -> str | None:
    """The key, quoted or bare; None when it is neither."""
    found = _KEY.fullmatch(written)
    return (found[1] or found[2]) if found else None


def fingerprint_of(key: bytes, route: str, body: bytes) -> bytes:
    """What the request asked, keyed: a body holds a number, and a plain hash of a short one could be guessed."""
    return blake2b(route.encode() + b"\x00" + body, key=key[:64], digest_size=16).digest()


@dataclass(frozen=True)
class Claim:
    """A request that wants to run under its key."""

    tenant_id: str
    key: str
    fingerprint: bytes

    @property
    def place(self) -> tuple[str, str]:
        return self.tenant_id, self.key


@dataclass(frozen=True)
class Row:
    """What the table holds for a tenant and key. `answer` is there once it is done."""

    fingerprint: bytes
    born_ms: int
    expires_ms: int
    owner: str | None
    answer: bytes | None


class Refusal(Enum):
    MISMATCH = "the key was used with another request"
    RUNNING = "the first request with this key is still running"


@dataclass(frozen=True)
class Run:
    """This request runs now. `born_ms` is when its key was first seen: message ids derive from it."""

    born_ms: int
    expires_ms: int


@dataclass(frozen=True)
class Replay:
    """It ran before: this was the answer."""

    answer: bytes
    expires_ms: int


@dataclass(frozen=True)
class TakeOver:
    """It was begun by a process that is dead, or begun and not finished: it runs again, under the same ids."""

    run: Run


@dataclass(frozen=True)
class Renew:
    """The key's time is over: as if never seen."""


Decision = Replay | TakeOver | Renew | Refusal


def decide(row: Row, fingerprint: bytes, now_ms: int, alive: frozenset[str]) -> Decision:
    """What follows from a row that is already there. `alive` are the processes whose lease holds."""
    if row.expires_ms <= now_ms:
        return Renew()
    if row.fingerprint != fingerprint:
        return Refusal.MISMATCH
    if row.answer is not None:
        return Replay(row.answer, row.expires_ms)
    if row.owner is not None and row.owner in alive:
        return Refusal.RUNNING
    return TakeOver(Run(row.born_ms, row.expires_ms))

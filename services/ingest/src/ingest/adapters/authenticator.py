"""Whose request is this? Keys are remembered for a few seconds; unknown ones as well, so that guessing costs us little."""

import time
from collections.abc import Sequence

from shared.clock import Clock
from shared.http.problems import ProblemError

from ingest.adapters.collector import Collector
from ingest.adapters.key_store import KeyStore
from ingest.domain.api_key import Standing, StoredKey, parse_key, standing

REMEMBERED_S = 4.0  # with the time of the query, a revoked key works 5 s at most
MOST_REMEMBERED = 20_000


class Authenticator:
    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._remembered: dict[str, tuple[float, StoredKey | None]] = {}
        self._lookup: Collector[str, StoredKey | None] = Collector(self._fetch, group=500, waiting=5_000)

    async def key_of(self, authorization: str | None) -> StoredKey:
        """The key behind an Authorization header. ProblemError 401 when it may not be used."""
        scheme, _, written = (authorization or "").partition(" ")
        parsed = parse_key(written.strip()) if scheme.lower() == "bearer" else None
        if parsed is None:
            raise _unauthenticated("send `Authorization: Bearer` with an API key")
        key_id, secret = parsed
        since, stored = self._remembered.get(key_id, (0.0, None))
        if time.monotonic() - since > REMEMBERED_S:
            stored = await self._lookup.submit(key_id)
        found = standing(stored, secret, self._clock())
        if found is not Standing.GOOD:
            raise _unauthenticated(found.value)
        assert stored is not None
        return stored

    def forget(self, key_id: str) -> None:
        """At once, in this process, when a key has changed."""
        self._remembered.pop(key_id, None)

    def forget_all(self) -> None:
        self._remembered.clear()

    async def _fetch(self, ids: list[str]) -> Sequence[StoredKey | None]:
        asked = time.monotonic()
        found = await self._store.by_ids(set(ids))
        if len(self._remembered) + len(ids) > MOST_REMEMBERED:
            self._remembered.clear()
        for key_id in ids:
            self._remembered[key_id] = (asked, found.get(key_id))
        return [found.get(key_id) for key_id in ids]


def require(stored: StoredKey, scope: str) -> None:
    """ProblemError 403 when the key lacks the scope."""
    if not stored.caller.may(scope):
        raise ProblemError(403, "forbidden", f"the key lacks the scope {scope}")


def _unauthenticated(detail: str) -> ProblemError:
    return ProblemError(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})

"""What every route asks first: who is it, may it, not too fast; and is it a repeat?"""

from datetime import UTC, datetime

from fastapi import Request, Response
from shared.clock import Clock
from shared.http.problems import ProblemError

from ingest.adapters.authenticator import Authenticator, require
from ingest.adapters.http.raw import JSON
from ingest.adapters.limits import Limits
from ingest.domain.api_key import StoredKey
from ingest.domain.idempotency import Claim, fingerprint_of, parse_idempotency_key
from ingest.handlers import Answer


class Door:
    def __init__(self, authenticator: Authenticator, limits: Limits, master: bytes, clock: Clock) -> None:
        self.authenticator, self.limits, self.clock = authenticator, limits, clock
        self._master = master

    async def caller(self, request: Request, scope: str | None = None) -> StoredKey:
        """ProblemError 401 or 403."""
        stored = await self.authenticator.key_of(request.headers.get("authorization"))
        if scope is not None:
            require(stored, scope)
        return stored

    def within_limits(self, stored: StoredKey, cost: int) -> dict[str, str]:
        """The limit's headers. ProblemError 429."""
        return self.limits.take(stored, cost, self.clock())

    def claim_of(self, request: Request, stored: StoredKey, body: bytes) -> Claim | None:
        """The claim under the request's Idempotency-Key, if it has one. ProblemError 400 for one that is no key."""
        written = request.headers.get("idempotency-key")
        if written is None:
            return None
        key = parse_idempotency_key(written)
        if key is None:
            detail = "must be 1 to 255 visible ASCII characters, bare or in double quotes"
            raise ProblemError(
                400, "bad_idempotency_key", f"Idempotency-Key: {detail}",
                errors=[{"field": "Idempotency-Key", "code": "bad_key", "detail": detail}],
            )  # fmt: skip
        return Claim(stored.caller.tenant_id, key, fingerprint_of(self._master, request.url.path, body))


def taken(answer: Answer, headers: dict[str, str]) -> Response:
    """202 with what the caller should know about its key and its limits."""
    if answer.expires_ms is not None:
        expires = datetime.fromtimestamp(answer.expires_ms / 1000, UTC).isoformat(timespec="seconds")
        headers["Idempotency-Key-Expires"] = expires.replace("+00:00", "Z")
        if answer.replayed:
            headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, status_code=202, media_type=JSON, headers=headers)

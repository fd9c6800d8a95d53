"""The short-lived token with which ingest vouches for a caller to the service behind it."""

from dataclasses import dataclass

import jwt

LIFE_S = 30
AUDIENCE = "relais-internal"


@dataclass(frozen=True)
class Caller:
    """Who asks: the tenant, what its key may do, and the key's id for the audit."""

    tenant_id: str
    scopes: frozenset[str]
    key_id: str

    def may(self, scope: str) -> bool:
        return "*" in self.scopes or scope in self.scopes


class TokenError(ValueError):
    """The token is missing, expired or not signed by ingest."""


class Tokens:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, caller: Caller, now_s: int) -> str:
        claims = {
            "aud": AUDIENCE, "sub": caller.tenant_id, "scp": sorted(caller.scopes), "kid": caller.key_id,
            "iat": now_s, "exp": now_s + LIFE_S,
        }  # fmt: skip
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify(self, token: str) -> Caller:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                leeway=2,
                options={"require": ["exp", "sub", "scp"]},
            )
        except jwt.InvalidTokenError as error:
            raise TokenError("the internal token is missing, expired or forged") from error
        return Caller(tenant_id=claims["sub"], scopes=frozenset(claims["scp"]), key_id=claims.get("kid", ""))

"""Who is asking, behind the public door: the token that ingest signed."""

from collections.abc import Callable

from fastapi import Request

from shared.crypto.tokens import Caller, TokenError, Tokens
from shared.http.problems import ProblemError


def caller_with(tokens: Tokens, scope: str) -> Callable[[Request], Caller]:
    """A FastAPI dependency: the caller, who must have this scope."""

    def dependency(request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise ProblemError(401, "unauthenticated", "this address is for the public door only: call the API there")
        try:
            caller = tokens.verify(token)
        except TokenError as error:
            raise ProblemError(401, "unauthenticated", str(error)) from error
        if not caller.may(scope):
            raise ProblemError(403, "forbidden", f"the key lacks the scope {scope}")
        return caller

    return dependency

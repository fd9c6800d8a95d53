"""Which headers cross the door, in either direction."""

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[str, str]]

# RFC 9110, section 7.6.1, and what older software still sends.
HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers",
    "transfer-encoding", "upgrade",
})  # fmt: skip
# The key stays outside; who the caller is, the token says; what the caller claims about proxies is not believed.
_NOT_INWARD: Final = HOP_BY_HOP | {"host", "authorization", "cookie", "expect", "forwarded"}
_NOT_OUTWARD: Final = HOP_BY_HOP | {"date", "server", "set-cookie"}


def inward(headers: Iterable[tuple[str, str]], token: str) -> Headers:
    """A request's headers for its owner."""
    found = [(name.lower(), value) for name, value in headers]
    named = _named_by_connection(found)
    kept = [
        (n, v) for n, v in found if n not in _NOT_INWARD and n not in named and not n.startswith(("x-forwarded-", "x-real-"))
    ]  # fmt: skip
    return [*kept, ("authorization", f"Bearer {token}")]


def outward(headers: Iterable[tuple[str, str]], owner_url: str) -> Headers:
    """An answer's headers for the caller. A redirect to the owner's own address becomes one to the same path here."""
    found = [(name.lower(), value) for name, value in headers]
    named = _named_by_connection(found)
    return [
        (n, v.removeprefix(owner_url) or "/") if n == "location" else (n, v)
        for n, v in found
        if n not in _NOT_OUTWARD and n not in named
    ]


def _named_by_connection(headers: Headers) -> frozenset[str]:
    return frozenset(
        part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")
    )

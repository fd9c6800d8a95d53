"""Which addresses a callback may go to: none from which our own network could be reached (SSRF)."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

LONGEST_URL = 2_000


def may_call(address: str, *, allow_loopback: bool) -> bool:
    """Whether an IP address is one of the public internet. Addresses that hold another one are judged by that too."""
    try:
        ip = ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _nat64(ip)
        if inner is not None:
            return may_call(str(inner), allow_loopback=allow_loopback)
    if ip.is_loopback:
        return allow_loopback
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _nat64(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address within 64:ff9b::/96 (RFC 6052)."""
    return IPv4Address(int(ip) & 0xFFFFFFFF) if int(ip) >> 32 == 0x64FF9B << 64 else None


def trouble_with(url: str, *, allow_loopback: bool) -> str | None:
    """Why a callback may not go to this URL, as far as the URL alone tells; names are judged when they are resolved."""
    if len(url) > LONGEST_URL:
        return f"is longer than {LONGEST_URL} characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http") or not host:
        return "must begin with https:// or http:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if not url.isprintable() or " " in url:
        return "holds characters that no URL has"
    try:
        ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return None if allow_loopback else "is not an address of the public internet"
        return None
    return None if may_call(host, allow_loopback=allow_loopback) else "is not an address of the public internet"


def origin_of(url: str) -> str:
    """Scheme, host and port: what is slow together when a receiver is slow."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"

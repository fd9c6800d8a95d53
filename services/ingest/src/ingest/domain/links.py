"""Short links: what a tenant may ask for, and where one leads."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ingest.domain.faults import OBJECT, REQUIRED_STRING, STRING, Fault, shape_faults
from ingest.domain.message_request import moment_of

TARGET_CHARACTERS: Final = 2_048
UTM_FIELDS: Final = ("source", "medium", "campaign", "term", "content")
UTM_CHARACTERS: Final = 200

# A deep link opens an app by a scheme of its own. These schemes would run or read something on the visitor's device.
_FORBIDDEN_SCHEMES: Final = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem", "jar"})  # fmt: skip
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,30}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\"<>\\^`{|}]")  # what a URL has percent-encoded (RFC 3986, section 2)

SHAPES: Final = {
    "id": STRING, "target": REQUIRED_STRING, "ios": STRING, "android": STRING, "campaign": STRING, "utm": OBJECT,
    "expires_at": STRING, "fallback": STRING, "domain": STRING,
}  # fmt: skip


class Link(NamedTuple):
    """A link as the redirect keeps it in memory. Addresses are complete: UTM parameters are in them."""

    number: int
    tenant_id: str
    link_id: str
    campaign_id: str | None
    target: str
    ios: str | None
    android: str | None
    fallback: str | None  # where an expired link leads; without it, nowhere
    expires_at: int | None  # ms since 1970
    domain: str | None
    deleted: bool


class Wanted(NamedTuple):
    """A link as a tenant asks for it, its values right."""

    link_id: str | None
    target: str
    ios: str | None
    android: str | None
    campaign_id: str | None
    utm: dict[str, str]
    expires_at: int | None
    fallback: str | None
    domain: str | None


def check_link(asked: Any) -> Wanted | list[Fault]:
    """The link asked for, or everything that is wrong with it. A past `expires_at` is right: it ends a link now."""
    faults = shape_faults(asked, SHAPES)
    if faults:
        return faults
    for name in ("id", "campaign"):
        if asked.get(name) is not None and _ID.fullmatch(asked[name]) is None:
            faults.append(Fault(name, "bad_id", "must be 1 to 64 letters, digits, `.`, `_` or `-`"))
    for name, apps in (("target", True), ("ios", True), ("android", True), ("fallback", False)):
        trouble = address_trouble(asked[name], apps=apps) if asked.get(name) is not None else None
        if trouble:
            faults.append(Fault(name, "bad_url", trouble))
    utm = asked.get("utm") or {}
    for name, value in utm.items():
        if name not in UTM_FIELDS:
            faults.append(Fault("utm", "unknown_field", f"known are {', '.join(UTM_FIELDS)}"))
        elif not isinstance(value, str) or not 1 <= len(value) <= UTM_CHARACTERS or not value.isprintable():
            faults.append(Fault(f"utm.{name}", "bad_value", f"must be a string of 1 to {UTM_CHARACTERS} characters"))
    expires_at = None
    if asked.get("expires_at") is not None:
        expires_at = moment_of(asked["expires_at"])
        if expires_at is None:
            faults.append(Fault("expires_at", "not_rfc3339", "must be a date and time of RFC 3339 with its offset"))
    domain = asked.get("domain")
    if domain is not None and _HOST.fullmatch(domain) is None:
        faults.append(Fault("domain", "bad_host", "must be a host name in small letters, such as go.example.com"))
    if faults:
        return faults
    return Wanted(
        asked.get("id"), asked["target"], asked.get("ios"), asked.get("android"), asked.get("campaign"), utm, expires_at,
        asked.get("fallback"), domain,
    )  # fmt: skip


def address_trouble(url: str, *, apps: bool) -> str | None:
    """Why an address cannot be led to, or None. `apps`: schemes of apps are permitted beside http and https."""
    if not 1 <= len(url) <= TARGET_CHARACTERS or _UNSAFE.search(url):
        return f"must be a URL of at most {TARGET_CHARACTERS} characters, all others percent-encoded"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "must be a URL"
    if parts.username is not None or parts.password is not None:
        return "must be a URL without user and password"
    if parts.scheme in ("http", "https"):
        return None if host else "must be a URL with a host"
    if not apps or _SCHEME.fullmatch(parts.scheme) is None or parts.scheme in _FORBIDDEN_SCHEMES:
        return "must be an https or http URL" + (", or one of an app's own scheme" if apps else "")
    return None


def with_utm(url: str, utm: Mapping[str, str]) -> str:
    """The address with these UTM parameters, where it has none of that name. Apps' addresses stay as they are."""
    parts = urlsplit(url)
    if not utm or parts.scheme not in ("http", "https"):
        return url
    there = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    more = urlencode({f"utm_{name}": value for name, value in utm.items() if f"utm_{name}" not in there})
    query = "&".join(part for part in (parts.query, more) if part)
    return urlunsplit(parts._replace(query=query))


def leads_to(link: Link, platform: str | None, now: int) -> str | None:
    """Where the link leads this visitor now; None when it leads nowhere any more. `platform`: ios, android or None."""
    if link.deleted:
        return None
    if link.expires_at is not None and now >= link.expires_at:
        return link.fallback
    own = link.ios if platform == "ios" else link.android if platform == "android" else None
    return own or link.target


def is_served_at(link: Link, host: str, domains: Mapping[str, str]) -> bool:
    """`domains`: whose each host name is. A tenant's own domain serves nobody else's links; others serve everybody's."""
    owner = domains.get(host)
    return owner is None or owner == link.tenant_id

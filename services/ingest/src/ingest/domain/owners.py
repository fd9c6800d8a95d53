"""Which service owns a public path. This table is the whole of ingest's knowledge about the others."""

import re
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote


class Owner(StrEnum):
    SEGMENTER = "segmenter"
    ROUTER = "router"
    DLR_PROCESSOR = "dlr-processor"
    ANALYTICS = "analytics"


class Rule(NamedTuple):
    """`pattern` is matched against the path's segments after /v1: `*` stands for one, a final `**` for any number."""

    methods: frozenset[str]  # empty: every method
    pattern: tuple[str, ...]
    owner: Owner
    heavy: bool = False  # uploads of any length, carried apart from everything else


def _rule(methods: str, pattern: str, owner: Owner, *, heavy: bool = False) -> Rule:
    return Rule(frozenset(methods.split()), tuple(pattern.split("/")), owner, heavy)


# The first rule that fits decides: the particular stands before the general.
RULES: Final = (
    _rule("POST", "messages/estimate", Owner.SEGMENTER),
    _rule("", "messages/**", Owner.DLR_PROCESSOR),
    _rule("", "callbacks/**", Owner.DLR_PROCESSOR),
    *(_rule("", f"{name}/**", Owner.DLR_PROCESSOR) for name in ("inbound", "reasons", "retries", "numbers")),
    _rule("GET HEAD", "campaigns/*/report/**", Owner.ANALYTICS),
    _rule("", "reports/**", Owner.ANALYTICS),
    *(_rule("POST PUT", f"{name}/import", Owner.SEGMENTER, heavy=True) for name in ("contacts", "suppressions")),
    *(
        _rule("", f"{name}/**", Owner.SEGMENTER)
        for name in (
            "contacts", "attributes", "consents", "lists", "segments", "templates", "campaigns", "suppressions", "rules", "held", "coupons", "feeds",
        )
    ),
    *(_rule("", f"{name}/**", Owner.ROUTER) for name in ("carriers", "prices", "routes", "senders")),
)  # fmt: skip


class BadPathError(ValueError):
    """The path has a segment that could mean another path to somebody."""


def segments_of(raw_path: str) -> tuple[str, ...]:
    """The decoded segments of an encoded path, without a trailing slash. BadPathError for `.`, `..`, or an empty one."""
    parts = tuple(unquote(part) for part in raw_path.strip("/").split("/"))
    if any(part in ("", ".", "..") or "\x00" in part for part in parts):
        raise BadPathError("the path has an empty segment, `.` or `..`")
    # An encoded slash would let the owner's router see other segments than this table does.
    if any("/" in part or "\\" in part for part in parts):
        raise BadPathError("a segment of the path holds an encoded slash")
    return parts


def rule_of(method: str, segments: tuple[str, ...]) -> Rule | None:
    """The rule for a path under /v1, or None when nobody owns it. `segments` begin with `v1`."""
    if segments[0] != "v1":
        return None
    return next((r for r in RULES if (not r.methods or method in r.methods) and _fits(r.pattern, segments[1:])), None)


def _fits(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        head = pattern[:-1]
        return len(segments) >= len(head) and _same(head, segments[: len(head)])
    return len(segments) == len(pattern) and _same(pattern, segments)


def _same(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    return all(p in ("*", s) for p, s in zip(pattern, segments, strict=True))


_PARAMETER = re.compile(r"\{[^/}]*\}")


def documented_owner(method: str, path: str) -> Owner | None:
    """The owner of an operation as OpenAPI writes its path, `{parameters}` included."""
    try:
        segments = segments_of(_PARAMETER.sub("x", path))
    except BadPathError:
        return None
    rule = rule_of(method.upper(), segments)
    return rule.owner if rule else None

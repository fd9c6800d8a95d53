"""Which variant of a campaign a person gets, or none because they are held out to compare with. Pure.

The choice is a keyed hash of tenant, campaign and reference: the same person gets the same variant in every run and
every repeat, and nobody can aim at one without the key.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from msgspec import Struct

BUCKETS: Final = 10_000
PERCENT: Final = BUCKETS // 100
HELD_OUT: Final = "holdout"


class Variant(Struct, frozen=True):
    """`share` in whole percent of the audience."""

    id: str
    template: str
    share: int
    template_version: int = 0


class Splitter:
    def __init__(self, master: bytes) -> None:
        self._key = blake2b(b"campaign variants", key=master[:64], digest_size=32).digest()

    def bucket(self, tenant: str, campaign: str, ref: str) -> int:
        """0 to 9,999, evenly spread."""
        said = f"{tenant}\x1f{campaign}\x1f{ref}".encode()
        return int.from_bytes(blake2b(said, key=self._key, digest_size=8).digest(), "big") % BUCKETS


def variant_at(variants: Sequence[Variant], holdout: int, bucket: int) -> Variant | None:
    """The variant of a bucket; None for the held out, who have the first buckets. Shares and holdout make 100."""
    upto = holdout * PERCENT
    if bucket < upto:
        return None
    for variant in variants:
        upto += variant.share * PERCENT
        if bucket < upto:
            return variant
    return variants[-1]


def variant_by(split: Mapping[str, int], holdout: int, bucket: int) -> str:
    """The variant of a bucket that is not held out, by shares that make `BUCKETS`."""
    held_out = holdout * PERCENT
    place = (bucket - held_out) * BUCKETS // (BUCKETS - held_out)
    upto = 0
    for variant, share in split.items():
        upto += share
        if place < upto:
            return variant
    return list(split)[-1]


def trouble_with(variants: Sequence[Variant], holdout: int) -> str | None:
    """Why this is no split; None when it is one."""
    if not variants:
        return None
    if len({v.id for v in variants}) != len(variants) or any(v.id == HELD_OUT for v in variants):
        return f"each variant has an id of its own, and none is `{HELD_OUT}`"
    total = sum(v.share for v in variants) + holdout
    return None if total == 100 else f"shares and holdout make {total}, not 100"


def chooser(
    splitter: Splitter,
    tenant: str,
    campaign: str,
    variants: Sequence[Variant],
    holdout: int,
    split: Mapping[str, int] | None = None,
) -> Callable[[str], str | None]:
    """Which variant's id a reference gets: `holdout` for the held out, None where a campaign has one text for all.
    `split`: shares of all who are written to, in place of the variants' own; the held out stay the same."""
    if not variants and not holdout:
        return lambda ref: None
    of_one = variants or _ONE_TEXT

    def variant_of(ref: str) -> str | None:
        bucket = splitter.bucket(tenant, campaign, ref)
        chosen = variant_at(of_one, holdout, bucket)
        if chosen is None:
            return HELD_OUT
        return variant_by(split, holdout, bucket) if split else chosen.id or None

    return variant_of


_ONE_TEXT: Final = (Variant("", "", 100),)  # a campaign without variants may still hold people out

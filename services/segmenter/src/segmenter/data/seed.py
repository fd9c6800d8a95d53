"""Rules that come with the service, in force until an operator puts others."""

from functools import lru_cache
from importlib.resources import files

import msgspec

from segmenter.domain.content_rules import BOOK, Book


@lru_cache(maxsize=1)
def mandatory_opt_out_countries() -> frozenset[str]:
    """Where the law or the carriers want every marketing message to say how to opt out."""
    rows = msgspec.json.decode(files("segmenter.data").joinpath("opt_out_texts.json").read_bytes())["mandatory"]
    return frozenset(row["country"] for row in rows)


@lru_cache(maxsize=1)
def seed_content_rules() -> Book:
    found = BOOK.decode(files("segmenter.data").joinpath("content_rules.json").read_bytes())
    return Book(found.rules, f"seed@{found.version}")

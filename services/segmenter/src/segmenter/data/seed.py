"""Rules that come with the service, in force until an operator puts others."""

from functools import lru_cache
from importlib.resources import files

from segmenter.domain.content_rules import BOOK, Book


@lru_cache(maxsize=1)
def seed_content_rules() -> Book:
    found = BOOK.decode(files("segmenter.data").joinpath("content_rules.json").read_bytes())
    return Book(found.rules, f"seed@{found.version}")

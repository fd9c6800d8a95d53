"""The words that tell a reader how to opt out, added to marketing that does not tell already. Data: by country and language.

Which number or keyword a tenant answers to is its own, so the words are its rule (`PUT /v1/rules/opt-out-texts`); which countries
demand them comes with the service, with sources, and a dry run says where they are missing.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from segmenter.domain.consent import MARKETING

ANY: Final = "*"
_TOLD: Final = re.compile(r"\bSTOP\b|(?i:\b(?:stop|unsubscribe|baja|abmelden|afmelden|cancella|sair)\b.{0,20}\d{4,})")
Words = Annotated[str, Meta(min_length=3, max_length=60, pattern=r"^\S.*\S$")]


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """By country the words by language; `*` for every other language."""

    texts: dict[
        Annotated[str, Meta(pattern=r"^[A-Z]{2}$")], dict[Annotated[str, Meta(pattern=r"^([a-z]{2,3}|\*)$")], Words]
    ]


class Endings:
    def __init__(self, texts: Mapping[str, Mapping[str, str]], mandatory: frozenset[str], version: int) -> None:
        self._texts, self._mandatory = texts, mandatory
        self.name = f" opt_out_texts@{version}" if version else ""

    def completed(self, country: str, purpose: str, text: str, locale: str | None) -> str:
        """The text with the words added where there are some for the country and it does not tell already."""
        by_language = self._texts.get(country) if purpose == MARKETING else None
        if not by_language or _TOLD.search(text):
            return text
        language = (locale or "").replace("_", "-").split("-")[0].lower()
        words = by_language.get(language) or by_language.get(ANY)
        return f"{text.rstrip()} {words}" if words else text

    def lacks(self, text: str, country: str, purpose: str) -> bool:
        """Whether the country demands words that the text does not have."""
        return purpose == MARKETING and country in self._mandatory and not _TOLD.search(text)


NO_ENDINGS: Final = Endings({}, frozenset(), 0)

"""What a handset's STOP, START or HELP is answered with, where its country's rules ask for an answer.

The rules are data: `rules/answers.json` is what the service starts with, each row with source and date; an operator puts
others (`PUT /v1/rules/answers`).
"""

from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

Keyword = Literal["stop", "start", "help"]
_Text = Annotated[str, Meta(min_length=1, max_length=400, pattern=r"^[^\x00]*$")]


class CountryAnswers(Struct, frozen=True, forbid_unknown_fields=True):
    """Which words are answered in a country, in which language where the person's is not known."""

    source: Annotated[str, Meta(min_length=1, max_length=500)]
    date: str
    stop: bool = False
    start: bool = False
    help: bool = False
    language: str = "en"
    certainty: str = ""


class AnswerRules(Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    countries: dict[Annotated[str, Meta(pattern="^[A-Z]{2}$")], CountryAnswers]
    texts: dict[Keyword, dict[Annotated[str, Meta(pattern="^[a-z]{2,3}$")], _Text]]


ANSWERS: Final = msgspec.json.Decoder(AnswerRules)


@lru_cache(maxsize=1)
def first_rules() -> AnswerRules:
    """What holds until an operator says otherwise."""
    return ANSWERS.decode(files("segmenter").joinpath("rules/answers.json").read_bytes())


def answer_to(rules: AnswerRules, keyword: Keyword, country: str, locale: str | None) -> str | None:
    """The text to answer with, in the person's language if there is one, else the country's; None: no answer there."""
    held = rules.countries.get(country)
    if held is None or not getattr(held, keyword):
        return None
    texts = rules.texts.get(keyword, {})
    own = (locale or "").replace("_", "-").partition("-")[0].lower()
    return texts.get(own) or texts.get(held.language) or next(iter(texts.values()), None)

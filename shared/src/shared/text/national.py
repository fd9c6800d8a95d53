"""National language tables (3GPP TS 23.038, 6.2.1.2): GSM 7-bit for languages that the default alphabet lacks.

A locking shift table stands in for the default alphabet, a single shift table for its extension table; the user data
header names them (information elements 0x25 and 0x24). The characters are in `national_tables.txt` beside this file.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from shared.text import gsm0338
from shared.text.alphabet import NONE, Decoder, Encoder, decoder, encoder


class Language(IntEnum):
    """National Language Identifier (6.2.1.2.4)."""

    TURKISH = 1
    SPANISH = 2
    PORTUGUESE = 3
    BENGALI = 4
    GUJARATI = 5
    HINDI = 6
    KANNADA = 7
    MALAYALAM = 8
    ORIYA = 9
    PUNJABI = 10
    TAMIL = 11
    TELUGU = 12
    URDU = 13


class Shift(NamedTuple):
    """Which tables stand in for the default ones; 0 is the default's own."""

    single: int = 0
    locking: int = 0


DEFAULT: Final = Shift()


class Tables(NamedTuple):
    basic: str | None
    """128 places, as in `gsm0338.BASIC`, empty ones `alphabet.NONE`; None for Spanish, which has no locking table."""
    extension: dict[int, str]


@cache
def tables(language: Language) -> Tables:
    """The locking and single shift tables of one language."""
    return _all_tables()[language]


@cache
def shifts(language: Language) -> tuple[Shift, ...]:
    """The ways to use a language's tables, those with the shorter header first."""
    number = int(language)
    if tables(language).basic is None:
        return (Shift(single=number),)
    return Shift(single=number), Shift(locking=number), Shift(number, number)


@cache
def encoder_of(shift: Shift) -> Encoder:
    """Text to septets, or to the position of the first character outside. Raises ValueError for unknown tables."""
    return encoder(*_pair(shift))


@cache
def decoder_of(shift: Shift) -> Decoder:
    """Septets to text. An unknown table is read as the default one (6.2.1.2.4), so any two numbers will do."""
    known = set(Language)
    single = shift.single if shift.single in known else 0
    locking = shift.locking if shift.locking in known and shift.locking != Language.SPANISH else 0
    return decoder(*_pair(Shift(single, locking)))


def decode(septets: bytes, shift: Shift) -> str:
    """The text of unpacked septets under these tables. Never raises."""
    return gsm0338.decode(septets) if shift == DEFAULT else decoder_of(shift)(septets)


def _pair(shift: Shift) -> tuple[str, dict[int, str]]:
    basic = tables(Language(shift.locking)).basic if shift.locking else gsm0338.BASIC
    if basic is None:
        raise ValueError("Spanish has no locking shift table")
    return basic, tables(Language(shift.single)).extension if shift.single else gsm0338.EXTENSION


_NAMES: Final = {"SP": " ", "LF": "\n", "FF": "\f", "CR": "\r", "ESC": "\x1b", "--": NONE}
_CODE_POINT: Final = re.compile(r"[0-9A-F]{4}").fullmatch
_RANGE: Final = re.compile(r"(.|[0-9A-F]{4})-(.|[0-9A-F]{4})").fullmatch


@cache
def _all_tables() -> dict[Language, Tables]:
    found: dict[Language, Tables] = {}
    text = files(__package__).joinpath("national_tables.txt").read_text("utf-8")
    for block in text.split("\n\n")[1:]:
        heading, *lines = block.splitlines()
        kinds: dict[str, dict[int, str]] = {}
        for line in lines:
            place, *words = line.split()
            if place in ("locking", "single"):
                current = kinds.setdefault(place, {})
                continue
            for at, character in enumerate((c for word in words for c in _characters(word)), int(place, 16)):
                if character != NONE:
                    current[at] = character
        locking = kinds.get("locking")
        basic = "".join(locking.get(at, NONE) for at in range(128)) if locking else None
        found[Language[heading.split()[1].upper()]] = Tables(basic, kinds["single"])
    return found


def _characters(word: str) -> Iterator[str]:
    found = _RANGE(word)
    if found is not None and word != "--":
        first, last = (ord(_one(edge)) for edge in found.groups())
        yield from map(chr, range(first, last + 1))
    else:
        yield _one(word)


def _one(word: str) -> str:
    if _CODE_POINT(word):
        return chr(int(word, 16))
    return _NAMES.get(word, word)

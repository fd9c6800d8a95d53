"""Typography made to fit GSM 7-bit: what an editor or a phone's keyboard writes where an SMS needs plain signs.

One typographic apostrophe turns 160 characters a part into 70. It is lossy, so it happens only where a profile or a
request asks, and `preview` (in `shared.text.estimate`) shows every change first.
"""

import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from shared.text.gsm0338 import BASIC, ESCAPE, EXTENSION

_GSM: Final = frozenset(BASIC[:ESCAPE] + BASIC[ESCAPE + 1 :]) | frozenset(EXTENSION.values())


class Change(NamedTuple):
    """`position` counts the original's characters (code points) from 0."""

    position: int
    before: str
    after: str


class Transliterated(NamedTuple):
    text: str
    changes: tuple[Change, ...]


# Signs that Unicode does not decompose, or not into what a reader expects. Each row: what stands for it, then they.
_SIGNS: Final = (
    ("'", "‘’‚‛′‹›ʼʻ´`"),
    ('"', "“”„‟″«»"),
    ("-", "‐‑‒–—―−⁃"),
    ("...", "…"),
    ("*", "•‣∙·●"),
    (" ", "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"),
    ("\n", "\u2028\u2029\u0085\v"),
    # Nothing to see: byte order mark, zero width space, word joiner, soft hyphen, direction marks. Joiners stay: they
    # shape letters, of scripts that do not fit anyway.
    ("", "\ufeff\u200b\u2060\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e"),
    ("/", "⁄∕"),
    ("x", "×"),
    (":", "÷"),
    ("<=", "≤"),
    (">=", "≥"),
    ("(c)", "©"),
    ("(r)", "®"),
    ("<-", "←"),
    ("->", "→"),
    ("oe", "œ"),
    ("OE", "Œ"),
    ("d", "đð"),
    ("D", "ĐÐ"),
    ("h", "ħ"),
    ("H", "Ħ"),
    ("i", "ı"),
    ("l", "ł"),
    ("L", "Ł"),
    ("th", "þ"),
    ("Th", "Þ"),
    ("ß", "ẞ"),
    # Greek capitals that look as Latin ones do: the alphabet has only the other ten
    *zip("ABEZHIKMNOPTYX", "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", strict=True),
    ("Ω", "Ω"),
)
_FOR: Final = {ord(sign): plain for plain, signs in _SIGNS for sign in signs}


def transliterate(text: str) -> Transliterated:
    """`text` with what it can make fit the GSM alphabet, and what was changed.

    Typographic quotes, dashes, spaces and the ellipsis become plain ones; letters lose the accents that the alphabet
    lacks (ê becomes e, é stays), and a letter followed by a combining accent is taken as one. Everything else, as
    emoji and other scripts, stays as it is.
    """
    if _GSM.issuperset(text):
        return Transliterated(text, ())
    pieces: list[str] = []
    changes: list[Change] = []
    at, size = 0, len(text)
    while at < size:
        end = at + 1
        while end < size and unicodedata.combining(text[end]) and "\u0300" <= text[end] <= "\u036f":
            end += 1
        before = text[at:end]
        after = before if before in _GSM else _plain(before)
        if after != before:
            changes.append(Change(at, before, after))
        pieces.append(after)
        at = end
    return Transliterated("".join(pieces), tuple(changes))


@lru_cache(maxsize=4096)
def _plain(cluster: str) -> str:
    """What stands for one character with its combining accents: itself where nothing in the alphabet does."""
    composed = unicodedata.normalize("NFC", cluster)
    if composed in _GSM:
        return composed
    letters = "".join(
        character
        for character in unicodedata.normalize("NFKD", composed.translate(_FOR))
        if not unicodedata.combining(character)
    ).translate(_FOR)
    return letters if _GSM.issuperset(letters) and (letters or _FOR.get(ord(cluster[0])) == "") else cluster

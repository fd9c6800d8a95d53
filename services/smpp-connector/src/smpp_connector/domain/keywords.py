"""Which word of a handset's message changes consent.

The first token counts, after NFKC, case folding, and removal of accents and punctuation. END, QUIT, CANCEL and YES
also begin ordinary sentences, so they count only alone. What else may mean a STOP is told as `stop?`: it changes
nothing, and a person looks at it (`GET /v1/inbound?keyword=stop?`). 47 CFR 64.1200(a)(10) counts any reasonable wording.
"""

import unicodedata

STOP_WORDS = frozenset(
    [
        "stop",
        "stopall",
        "unsubscribe",
        "revoke",
        "optout",
        "remove",
        "arret",
        "baja",
        "alto",
        "stopp",
        "abmelden",
        "cancella",
        "sair",
        "parar",
        "afmelden",
    ]
)
STOP_ALONE = frozenset(["cancel", "end", "quit"])
START_WORDS = frozenset(["start", "unstop", "join"])
START_ALONE = frozenset({"yes"})  # a consent by accident is worse than one asked for again
HELP_WORDS = frozenset(["help", "info", "aide"])
STOP_STEMS = (
    "unsubscri",
    "desabonn",
    "desinscri",
    "desuscri",
    "abbestell",
    "abmeld",
    "afmeld",
    "uitschrijv",
    "cancell",
    "avregistr",
)
STOP_PHRASES = (
    "remove me", "no more", "leave me alone", "do not text", "dont text", "do not contact", "dont contact", "wrong number", "opt me out",
    "plus de sms", "plus de message", "plus de messages", "ne plus recevoir", "laissez moi", "no mas", "keine sms", "keine nachrichten",
    "basta sms", "nao quero", "geen sms", "inga sms",
)  # fmt: skip
_LONGEST = 200  # characters looked at: a keyword stands at the beginning


def keyword_of(text: str) -> str | None:
    """stop, start, help; `stop?` for a person to look at; or None."""
    tokens = _tokens(text[:_LONGEST])
    if not tokens:
        return None
    first, alone = tokens[0], len(tokens) == 1
    if first in STOP_WORDS or (alone and first in STOP_ALONE) or tokens[:2] == ["opt", "out"]:
        return "stop"
    if first in START_WORDS or (alone and first in START_ALONE):
        return "start"
    if first in HELP_WORDS:
        return "help"
    return "stop?" if _may_mean_stop(tokens) else None


def _may_mean_stop(tokens: list[str]) -> bool:
    """A word for stopping further on, one misspelt at the beginning, or a sentence that people write instead."""
    if _is_misspelt_stop(tokens[0]) or any(t in STOP_WORDS or t in STOP_ALONE for t in tokens):
        return True
    if any(token.startswith(STOP_STEMS) for token in tokens):
        return True
    sentence = f" {' '.join(tokens)} "
    return any(f" {phrase} " in sentence for phrase in STOP_PHRASES)


def _is_misspelt_stop(word: str) -> bool:
    """One letter too many, too few, wrong, or two changed over, of a word of at least four letters."""
    return any(_is_one_slip(word, known) for known in STOP_WORDS if len(known) >= 4)


def _is_one_slip(word: str, known: str) -> bool:
    if abs(len(word) - len(known)) > 1 or word == known:
        return False
    start = 0
    while start < min(len(word), len(known)) and word[start] == known[start]:
        start += 1
    left, right = word[start:], known[start:]
    if left[1:] == right[1:] or left[1:] == right or left == right[1:]:
        return True
    return left[:2] == right[1::-1] and left[2:] == right[2:]


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    words = ("".join(c for c in word if c.isalnum()) for word in plain.split())
    return [word for word in words if word]

"""Which word of a handset's message changes consent.

The first token counts, after NFKC, case folding, and removal of accents and punctuation. END, QUIT, CANCEL and YES
also begin ordinary sentences, so they count only alone: a person looks at the rest.
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
_LONGEST = 200  # characters looked at: a keyword stands at the beginning


def keyword_of(text: str) -> str | None:
    """stop, start, help or None."""
    tokens = _tokens(text[:_LONGEST])
    if not tokens:
        return None
    first, alone = tokens[0], len(tokens) == 1
    if first in STOP_WORDS or (alone and first in STOP_ALONE) or tokens[:2] == ["opt", "out"]:
        return "stop"
    if first in START_WORDS or (alone and first in START_ALONE):
        return "start"
    return "help" if first in HELP_WORDS else None


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    words = ("".join(c for c in word if c.isalnum()) for word in plain.split())
    return [word for word in words if word]

"""Double opt-in: a person who asked for marketing says so once more from the handset, by a word or a code.

German practice to prove consent (UWG 7); the proof names the message that asked and the answer that came.
"""

import secrets
from hashlib import blake2b
from typing import Final, Literal

Method = Literal["keyword", "code"]
LASTS_MS: Final = 48 * 3_600_000  # a word that comes later may mean something else
MOST_TRIES: Final = 5  # of a million codes
_CODE_DIGITS: Final = 6

_TEXTS: Final[dict[Method, dict[str, str]]] = {
    "keyword": {
        "en": "Please confirm that you want our messages: reply START. Reply STOP to refuse.",
        "fr": "Confirmez que vous souhaitez nos messages : répondez START. Répondez STOP pour refuser.",
        "de": "Bitte bestätigen Sie, dass Sie unsere Nachrichten wünschen: Antworten Sie START, oder STOPP.",
    },
    "code": {
        "en": "Your code to confirm that you want our messages: {code}",
        "fr": "Votre code pour confirmer que vous souhaitez nos messages : {code}",
        "de": "Ihr Code, um unsere Nachrichten zu bestätigen: {code}",
    },
}


def new_code() -> str:
    return f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"


def code_hash(key: bytes, opt_in: str, code: str) -> str:
    """What is kept of a code: a keyed hash, tied to its request."""
    return blake2b(f"{opt_in}\x1f{code}".encode(), key=key[:64], digest_size=16).hexdigest()


def asking_text(method: Method, locale: str | None, written: str | None, code: str | None) -> str:
    """The message that asks, in the caller's words (with `{code}` where it belongs) or in ours."""
    own = (locale or "").replace("_", "-").partition("-")[0].lower()
    text = written or _TEXTS[method].get(own) or _TEXTS[method]["en"]
    return text.replace("{code}", code) if code is not None else text

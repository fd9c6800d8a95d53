"""The page on which a person stops a sender's messages with one tap, or comes back: one form, no script, nothing to load.

Following the link changes nothing, since previews and scanners follow links too; the button does. Written for screen
readers and small screens: the language is told, the state is a sentence, buttons are 48 px high and stand out by 7:1.
"""

from collections.abc import Mapping
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

MARKETING: Final = "marketing"
LANGUAGES: Final = ("en", "fr")
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow", "X-Content-Type-Options": "nosniff",
}  # fmt: skip

_WORDS: Final = {
    "en": {
        "title": "Your messages", "granted": "You get marketing messages from this sender by SMS.",
        "withdrawn": "You get no marketing messages from this sender any more.",
        "none": "This sender has no record that you agreed to marketing messages.",
        "suppressed": "This number is on a list of numbers that get no marketing messages.",
        "stop": "Stop all marketing messages", "start": "Get them again", "done": "Done. ", "brand": "Messages of {name}",
        "stop brand": "Stop messages of {name}", "start brand": "Get messages of {name} again",
        "gone": "This link is not valid. Reply STOP to a message to get no more.",
        "away": "This page is not available now. Please try again in a moment, or reply STOP to a message.",
        "other": "Français",
    },
    "fr": {
        "title": "Vos messages", "granted": "Vous recevez par SMS les messages commerciaux de cet expéditeur.",
        "withdrawn": "Vous ne recevez plus de messages commerciaux de cet expéditeur.",
        "none": "Cet expéditeur n'a pas d'accord de votre part pour des messages commerciaux.",
        "suppressed": "Ce numéro est sur une liste de numéros qui ne reçoivent aucun message commercial.",
        "stop": "Arrêter tous les messages commerciaux", "start": "Les recevoir de nouveau", "done": "C'est fait. ",
        "brand": "Messages de {name}", "stop brand": "Arrêter les messages de {name}", "start brand": "Recevoir de nouveau les messages de {name}",
        "gone": "Ce lien n'est pas valable. Répondez STOP à un message pour ne plus en recevoir.",
        "away": "Cette page n'est pas disponible. Réessayez dans un instant, ou répondez STOP à un message.",
        "other": "English",
    },
}  # fmt: skip
_STYLE: Final = (
    "body{font:1.125rem/1.5 system-ui,sans-serif;max-width:32rem;margin:0 auto;padding:1.5rem;color:#111;background:#fff}"
    "button{font:inherit;min-height:48px;width:100%;padding:.5rem 1rem;border:2px solid #111;border-radius:.5rem;background:#fff;color:#111}"
    "button.stop{background:#111;color:#fff}button:focus-visible,a:focus-visible{outline:3px solid #0b57d0;outline-offset:3px}"
    "form{margin:1rem 0}a{color:#0b3d91;display:inline-block;padding:.75rem 0}"
)


def language_of(asked: str | None, locale: str | None, accepted: str | None) -> str:
    """The page's language: what the visitor chose, else the contact's, else the browser's first that we have."""
    for wish in (asked, locale, *((accepted or "").split(","))):
        own = (wish or "").strip().replace("_", "-").partition("-")[0].partition(";")[0].lower()
        if own in LANGUAGES:
            return own
    return LANGUAGES[0]


def word_said(body: bytes) -> tuple[str, str] | None:
    """(purpose, state) of a form that was sent; None when it is not this page's form."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=5)
    except (ValueError, UnicodeDecodeError):
        return None
    purpose, state = fields.get("purpose", [MARKETING])[0], fields.get("state", [""])[0]
    return (purpose, state) if state in ("granted", "withdrawn") else None


def page(code: str, purposes: Mapping[str, Any], language: str, *, done: bool = False) -> str:
    """HTML. `purposes`: what holds for `marketing` and for brands (`marketing:kids`)."""
    words = _WORDS[language]
    state = purposes.get(MARKETING) or "none"
    parts = [f'<p role="status" aria-live="polite">{escape((words["done"] if done else "") + words[state])}</p>']
    if state == "granted":
        parts.append(_form(code, language, MARKETING, "withdrawn", words["stop"]))
        for purpose in sorted(p for p in purposes if p != MARKETING):
            name = purpose.partition(":")[2]
            parts.append(f"<h2>{escape(words['brand'].format(name=name))}</h2>")
            stopped = purposes[purpose] == "withdrawn"
            label = words["start brand" if stopped else "stop brand"].format(name=name)
            parts.append(_form(code, language, purpose, "granted" if stopped else "withdrawn", label))
    elif state != "suppressed":
        if state == "none":  # a brand may have a grant of its own: the way out is always there
            parts.append(_form(code, language, MARKETING, "withdrawn", words["stop"]))
        parts.append(_form(code, language, MARKETING, "granted", words["start"]))
    return _whole(language, "".join(parts), code)


def notice(language: str, what: str) -> str:
    """HTML that says `gone` or `away`."""
    return _whole(language, f'<p role="status">{escape(_WORDS[language][what])}</p>', None)


def wording(language: str, purpose: str, state: str) -> str:
    """What stood on the button, for the proof."""
    name = purpose.partition(":")[2]
    key = ("stop" if state == "withdrawn" else "start") + (" brand" if name else "")
    return _WORDS[language][key].format(name=name)


def _form(code: str, language: str, purpose: str, state: str, label: str) -> str:
    kind = ' class="stop"' if state == "withdrawn" else ""
    return (
        f'<form method="post" action="/p/{escape(code)}?lang={language}"><input type="hidden" name="purpose" value="{escape(purpose)}">'
        f'<button{kind} name="state" value="{state}">{escape(label)}</button></form>'
    )


def _whole(language: str, body: str, code: str | None) -> str:
    words, other = _WORDS[language], "fr" if language == "en" else "en"
    link = (
        f'<a href="/p/{escape(code)}?lang={other}" hreflang="{other}" lang="{other}">{words["other"]}</a>'
        if code
        else ""
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{words['title']}</title><style>{_STYLE}</style></head><body><main><h1>{words['title']}</h1>{body}{link}</main></body></html>"
    )

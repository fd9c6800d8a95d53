"""What becomes of one message: the text it carries, or why it is dropped. The same rules for API and campaigns."""

from collections.abc import Callable, Container, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from shared.text.errors import TextError, TooManyPartsError
from shared.text.plan import plan

from segmenter.domain.check_content import PASS, Finding
from segmenter.domain.templates import RenderFailedError, Template

MAX_PARTS: Final = 10  # a longer text is a mistake: it costs ten times and arrives in pieces


class Drop(Struct, frozen=True, gc=False):
    """`reason` is of the catalogue; `detail` is a sentence without number or text."""

    reason: str
    detail: str | None = None


class Ready(Struct, frozen=True, gc=False):
    """`encoding` and `parts` are the cheapest that carry `text`. `held_by`: the content rule that wants a person to look
    at it first. `features`: what the text has. The repr shows no text."""

    text: str
    encoding: str
    parts: int
    locale: str | None
    held_by: str | None = None
    features: str = ""

    def __repr__(self) -> str:
        return f"<Ready {self.encoding} parts={self.parts}>"


def sized(text: str, locale: str | None) -> Ready | Drop:
    """The text with its encoding and parts, when some encoding carries it in at most ten parts."""
    if not text or text.isspace():
        return Drop("render_failed", "the text is empty")
    try:
        planned = plan(text)
    except TooManyPartsError as error:
        return Drop("unencodable", f"the text needs {error.parts} parts; {MAX_PARTS} are the most")
    except TextError as error:
        return Drop("unencodable", str(error))
    if planned.parts > MAX_PARTS:
        return Drop("unencodable", f"the text needs {planned.parts} parts; {MAX_PARTS} are the most")
    return Ready(text, str(planned.encoding), planned.parts, locale)


Completed = Callable[[str, str | None], str]
"""A text and its locale in, the text with what must be added to it out."""


def rendered(
    template: Template, locale: str | None, variables: dict[str, Any], completed: Completed | None = None
) -> Ready | Drop:
    """The template's text for one person."""
    chosen, body = template.body_for(locale)
    try:
        text = body.render(variables)
    except RenderFailedError as error:
        return Drop("render_failed", f"locale {chosen}: {error}")
    return sized(completed(text, chosen) if completed and text.strip() else text, chosen)


def checked(ready: Ready | Drop, finding: Finding, let_through: Container[str] = ()) -> Ready | Drop:
    """What a content check makes of a text. `let_through`: rules whose `hold` a person has lifted."""
    if isinstance(ready, Drop) or finding is PASS:
        return ready
    if finding.verdict == "block":
        return Drop("blocked", f"content rule {finding.rule}")
    held_by = finding.rule if finding.verdict == "hold" and finding.rule not in let_through else None
    return msgspec.structs.replace(ready, held_by=held_by or ready.held_by, features=finding.features)


class Content(Struct, frozen=True):
    """What a caller asked to say: `text`, or `template` with `variables`."""

    text: str | None = None
    template: str | None = None
    variables: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Content template={self.template}>"


def text_of(
    content: Content,
    purpose: str,
    locale: str | None,
    find: Callable[[str], Template | None],
    completed: Completed | None = None,
) -> tuple[Ready | Drop, str]:
    """The message's text or its drop, and the rule that made it: the template's version, or nothing."""
    if content.template is None:
        text = content.text or ""
        return sized(completed(text, locale) if completed and text.strip() else text, None), ""
    template = find(content.template)
    if template is None:
        return Drop("render_failed", f"there is no template {content.template}"), ""
    if template.purpose != purpose:
        # Else a marketing text would pass as transactional, and past consent.
        return Drop("render_failed", f"template {template.id} is for {template.purpose}, not {purpose}"), template.rule
    return rendered(template, locale, content.variables, completed), template.rule


def variables_of(
    ref: str, country: str, locale: str | None, time_zone: str | None, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """What a campaign's template sees: the person's attributes by name, and `contact` with the built-in ones."""
    contact = {"ref": ref, "country": country, "locale": locale, "time_zone": time_zone}
    return {"contact": contact, **attributes}

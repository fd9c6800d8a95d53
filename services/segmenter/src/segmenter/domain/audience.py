"""Who of a slice of an audience is written to, and what each is told. Pure: used by expansion and by dry runs alike."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from segmenter.domain.check_content import NO_RULES, ContentRules
from segmenter.domain.chunking import first_of_each_number
from segmenter.domain.consent import NONE, Stances, purpose_of, refusal
from segmenter.domain.prepare import Drop, Ready, checked, rendered, variables_of
from segmenter.domain.templates import Template

Decision = Ready | Drop
HELD_OUT = Drop("holdout", "held out, to compare with those who are written to")


class Person(Protocol):
    """What a decision needs of a contact."""

    @property
    def ref(self) -> str: ...
    @property
    def contact_id(self) -> str: ...
    @property
    def number_problem(self) -> str | None: ...
    @property
    def country(self) -> str: ...
    @property
    def locale(self) -> str | None: ...
    @property
    def time_zone(self) -> str | None: ...
    @property
    def attributes(self) -> dict[str, Any]: ...


class Said(Protocol):
    """What was said about the slice's numbers."""

    @property
    def by_ref(self) -> Mapping[tuple[str, str], Stances]: ...
    @property
    def suppressed(self) -> set[str]: ...
    @property
    def brands(self) -> Mapping[str, Mapping[str, str]]: ...
    def sharing(self, contact_id: str) -> list[Stances]: ...


P = TypeVar("P", bound=Person)


def decide_members(
    tenant: str, members: Sequence[P], said: Said, template: Template | Callable[[str], Template | None], purpose: str,
    rules: ContentRules = NO_RULES, let_through: Container[str] = (), given: Mapping[str, Any] = {}, sender: str | None = None,
) -> Iterator[tuple[P, Decision]]:  # fmt: skip
    """Each member with what becomes of them. Of several who share a number and may be written to, the first by ref is.

    `template`: one for all, or which one a ref gets; None for those held out of a campaign that they could have got.
    `rules`: what texts may say; `let_through`: those of them whose `hold` a person has lifted for this run. `sender`: whose
    brand it is decides whether the brand's consent will do.
    """
    of_ref = template if callable(template) else lambda ref: template
    asked = purpose_of(purpose, sender, said.brands.get(tenant, {}))
    refused = {member.ref: _refused(tenant, member, said, asked) for member in members}
    allowed = [(member.ref, member.contact_id) for member in members if refused[member.ref] is None]
    chosen = first_of_each_number(allowed)
    for member in members:
        drop = refused[member.ref]
        if drop is not None:
            yield member, drop
        elif member.ref not in chosen:
            yield member, Drop("duplicate", "another contact of the audience has the same number")
        else:
            own = of_ref(member.ref)
            if own is None:
                yield member, HELD_OUT
                continue
            yield member, written_to(member, own, purpose, rules, let_through, given)


def written_to(
    member: Person, template: Template, purpose: str, rules: ContentRules, let_through: Container[str],
    given: Mapping[str, Any],
) -> Decision:  # fmt: skip
    """What a person who may be written to is told. `given`: what texts see beside a person's own."""
    variables = variables_of(member.ref, member.country, member.locale, member.time_zone, member.attributes)
    variables |= given
    completed = partial(rules.endings.completed, member.country, purpose)
    ready = rendered(template, member.locale, variables, completed)
    if isinstance(ready, Drop):
        return ready
    return checked(ready, rules.judge(ready.text, member.country, purpose), let_through)


def _refused(tenant: str, member: Person, said: Said, purpose: str) -> Drop | None:
    if member.number_problem is not None:
        return Drop("invalid_number", member.number_problem)
    own = said.by_ref.get((tenant, member.ref), NONE)
    reason = refusal(purpose, own, said.sharing(member.contact_id), member.contact_id in said.suppressed)
    return None if reason is None else Drop(reason)

"""Liquid templates: checked when stored, compiled once for each version and locale, rendered within strict limits.

No tag reaches other templates, loops and output are bounded, and a variable without a value fails the message unless
the template gives it a default or only asks whether it is there.
"""

from collections.abc import Mapping
from typing import Any, Final, TextIO

import liquid
from liquid import Node, RenderContext, Tag, TokenStream
from liquid.exceptions import LiquidError, ResourceLimitError, UndefinedError
from liquid.token import TOKEN_EXPRESSION
from liquid.undefined import FalsyStrictUndefined
from msgspec import Struct

from segmenter.domain.bounded_liquid import Budget, bound
from segmenter.domain.braze import as_liquid

LONGEST_BODY: Final = 4000  # characters; ten parts of an SMS hold 1,530 at most
TOO_MUCH: Final = "the template loops or writes too much"
_FORBIDDEN_TAGS: Final = ("include", "render", "inline_comment")
_TAG_MARKS: Final = ("{{", "{%")


class TemplateError(ValueError):
    """The template cannot be compiled. Tells where, in the template's own words."""


class RenderFailedError(ValueError):
    """This person cannot be told this: says what is missing, never what was there."""


class AbortedError(LiquidError):
    """`abort_message` was reached."""


class _AbortNode(Node):
    """Braze's `{% abort_message('why') %}`. Its reason is for the template's author: it may hold a person's values, and is
    not passed on."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        raise AbortedError("aborted", token=self.token)


class _AbortTag(Tag):
    name = "abort_message"
    node_class = _AbortNode
    block = False

    def parse(self, stream: TokenStream) -> Node:
        """Ends at the tag's last token, as the parser expects."""
        token = stream.current
        if stream.peek.kind == TOKEN_EXPRESSION:
            next(stream)
        return _AbortNode(token)


class _Environment(liquid.Environment):
    loop_iteration_limit = 1000
    output_stream_limit = 4 * LONGEST_BODY
    local_namespace_limit = 4 * LONGEST_BODY
    context_depth_limit = 10


def _environment() -> liquid.Environment:
    environment = _Environment(undefined=FalsyStrictUndefined)
    environment.add_tag(_AbortTag)
    for tag in _FORBIDDEN_TAGS:
        environment.tags.pop(tag, None)
    bound(environment, _BUDGET)
    return environment


_BUDGET: Final = Budget()
_ENVIRONMENT: Final = _environment()


class CompiledBody:
    """One body, ready to render. A body without tags is its own text."""

    __slots__ = ("_fixed", "_template", "paths", "variables")

    def __init__(self, source: str) -> None:
        """TemplateError when Liquid cannot read it, it is too long, or it names an unknown filter."""
        if len(source) > LONGEST_BODY:
            raise TemplateError(f"has {len(source)} characters; {LONGEST_BODY} are the most")
        self._fixed = None if any(mark in source for mark in _TAG_MARKS) else source
        try:
            self._template = _ENVIRONMENT.from_string(as_liquid(source))
            analysis = self._template.analyze()
            used = analysis.filters
            self.variables: frozenset[str] = frozenset(analysis.globals)
            """Names that must come from outside."""
            self.paths = frozenset(
                tuple(str(part) for part in variable.segments[:2])
                for found in analysis.globals.values() for variable in found
            )  # fmt: skip
        except LiquidError as error:
            raise TemplateError(_first_line(error) + _place(error)) from None
        unknown = sorted(set(used) - set(_ENVIRONMENT.filters))
        if unknown:
            raise TemplateError(f"there is no filter `{unknown[0]}`")

    def render(self, variables: dict[str, Any]) -> str:
        """The text for one person. RenderFailedError otherwise."""
        if self._fixed is not None:
            return self._fixed
        try:
            _BUDGET.renew()
            return self._template.render(variables)
        except AbortedError as error:
            raise RenderFailedError(f"aborted by the template{_place(error)}") from None
        except UndefinedError as error:
            name = getattr(error.token, "value", None) or "a variable"
            raise RenderFailedError(f"`{name}` has no value and no default{_place(error)}") from None
        except ResourceLimitError as error:
            raise RenderFailedError(f"{TOO_MUCH}{_place(error)}") from None
        except LiquidError as error:
            # A filter's own message may repeat the value that it was given.
            raise RenderFailedError(f"a tag or filter failed{_place(error)}") from None
        except (ArithmeticError, TypeError, ValueError, AttributeError, RecursionError):
            raise RenderFailedError("a tag or filter failed on the value it was given") from None


class Template(Struct, frozen=True):
    """One version of a template, compiled for each of its locales."""

    id: str
    version: int
    purpose: str
    bodies: dict[str, CompiledBody]
    default_locale: str

    def body_for(self, locale: str | None) -> tuple[str, CompiledBody]:
        """The locale chosen and its body: the person's own, else its language's, else the template's default."""
        if locale:
            body = self.bodies.get(locale)
            if body is not None:
                return locale, body
            language = locale.replace("_", "-").split("-")[0].lower()
            body = self.bodies.get(language)
            if body is not None:
                return language, body
        return self.default_locale, self.bodies[self.default_locale]

    def names_within(self, name: str) -> frozenset[str]:
        """What bodies ask of a table: `{{ coupon.spring }}` asks `spring` of `coupon`."""
        return frozenset(
            path[1] for body in self.bodies.values() for path in body.paths if len(path) == 2 and path[0] == name
        )

    @property
    def rule(self) -> str:
        return f"template:{self.id}@{self.version}"


def compile_template(
    template_id: str, version: int, purpose: str, bodies: Mapping[str, str], default_locale: str
) -> Template:
    """TemplateError when a body cannot be compiled."""
    compiled = {locale: CompiledBody(source) for locale, source in bodies.items()}
    return Template(template_id, version, purpose, compiled, default_locale)


def _first_line(error: LiquidError) -> str:
    return str(error.message if hasattr(error, "message") else error).splitlines()[0]


def _place(error: LiquidError) -> str:
    context = error.context()
    return f" (line {context[0]}, column {context[1]})" if context else ""

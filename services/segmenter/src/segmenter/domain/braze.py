"""Braze's spellings in a template, read as ours: marketers bring their texts along.

{{${first_name}}}                    {{ first_name }}
{{custom_attribute.${loyalty}}}      {{ loyalty }}
{% if {{${city}}} == 'Lyon' %}       {% if city == 'Lyon' %}
{% abort_message('why') %}           a tag of ours: this person is not written to
"""

import re
from typing import Final

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_\-]*"
_DOLLAR: Final = rf"(?:custom_attribute\.|event_properties\.)?\$\{{\s*({_NAME})\s*\}}"
_WITHIN_TAG: Final = re.compile(r"\{%-?.*?-?%\}", re.DOTALL)
_OUTPUT_IN_TAG: Final = re.compile(rf"\{{\{{\s*{_DOLLAR}\s*\}}\}}")
_REFERENCE: Final = re.compile(_DOLLAR)


def as_liquid(source: str) -> str:
    """The same template in plain Liquid; a template without Braze's spellings is left as it is."""
    if "${" not in source:
        return source
    in_tags = _WITHIN_TAG.sub(lambda tag: _OUTPUT_IN_TAG.sub(r"\1", tag.group()), source)
    return _REFERENCE.sub(r"\1", in_tags)

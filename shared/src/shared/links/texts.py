"""A text gets its recipient's own links: each short link in it that names nobody comes to name this message.

The code keeps its length, so neither the encoding nor the number of parts changes, and a text may be written with the
plain link by whoever writes it: a template, a campaign, a caller of the API.
"""

import re
from typing import Final

from shared.links.codes import CODE_CHARACTERS, NOBODY, LinkCodes, recipient_of

PATH: Final = "/l/"
_LINK = re.compile(rf"(?<={PATH})[0-9A-Za-z]{{{CODE_CHARACTERS}}}(?![0-9A-Za-z])")


def personal(text: str, codes: LinkCodes, message_id: str) -> str:
    """The text with the recipient in its short links. What is not a code of ours stays as it is."""
    if PATH not in text:
        return text

    def own(found: re.Match[str]) -> str:
        named = codes.read(found[0])
        if named is None or named.recipient != NOBODY:
            return found[0]
        return codes.code(named.link, recipient_of(message_id))

    return _LINK.sub(own, text)

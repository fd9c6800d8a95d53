"""The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038, 6.2.1 and 6.2.1.1), one septet an octet.

Encoding goes through C: `codecs.charmap_encode` first gives one octet a character, from a code page made for the
purpose (the default alphabet in its own places, extension characters above 0x80), and `bytes.translate` and
`bytes.replace` turn that into septets. 120 characters take about 1 us, a Python loop over a dict 10 us.

National language tables (6.2.1.2) are other pairs of `BASIC` and `EXTENSION`, chosen by a UDH.
"""

import codecs
from collections.abc import Callable
from typing import Any, Final

ESCAPE: Final = 0x1B

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""Character by septet. 0x1B is the escape and stands for no character."""

EXTENSION: Final[dict[int, str]] = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
"""Character by the septet that follows the escape."""

# The code page: its place 0 must be U+0000, or CPython falls back from its compact map to a dict. The commercial at,
# which is septet 0, therefore takes 0x80, and U+0000 itself is refused after encoding.
_NONE: Final = "\ufffe"  # CPython's mark for an unused place
_AT: Final = 0x80
_FIRST_EXTENDED: Final = 0x81
_EXTENDED: Final = bytes(range(_FIRST_EXTENDED, _FIRST_EXTENDED + len(EXTENSION)))
_PAGE: Final = ("\0" + BASIC[1:ESCAPE] + _NONE + BASIC[ESCAPE + 1 :] + BASIC[0] + "".join(EXTENSION.values())).ljust(
    256, _NONE
)
_PAGE_MAP: Any = codecs.charmap_build(_PAGE)
_charmap_encode: Callable[[str, str, Any], tuple[bytes, int]] = codecs.charmap_encode
_charmap_decode: Callable[[bytes, str, str], tuple[str, int]] = codecs.charmap_decode

_TO_SEPTETS: Final = bytes.maketrans(bytes([_AT]), b"\0")
_PAIRS: Final = tuple(
    (bytes([code]), bytes([ESCAPE, septet])) for code, septet in zip(_EXTENDED, EXTENSION, strict=True)
)
_READ_BASIC: Final = (BASIC[:ESCAPE] + " " + BASIC[ESCAPE + 1 :]).ljust(256, "\ufffd")


def try_encode(text: str) -> bytes | int:
    """The septets, one an octet, or the position of the first character that the alphabet lacks."""
    try:
        codes = _charmap_encode(text, "strict", _PAGE_MAP)[0]
    except UnicodeEncodeError as error:
        position = error.start
        nul = text.find("\0", 0, position)
        return position if nul < 0 else nul
    if b"\0" in codes:
        return codes.index(0)
    if codes.isascii():
        return codes
    if len(codes) != len(codes.translate(None, _EXTENDED)):
        for code, pair in _PAIRS:
            codes = codes.replace(code, pair)
    return codes.translate(_TO_SEPTETS)


def decode(septets: bytes) -> str:
    """The text of unpacked septets. Never raises.

    After an escape an unknown septet is read from the default alphabet (6.2.1.1, note 1); an escape that nothing
    follows is a space. An octet above 0x7F is no septet and becomes U+FFFD.
    """
    first, *escaped = septets.split(b"\x1b")
    text = _charmap_decode(first, "strict", _READ_BASIC)[0]
    if not escaped:
        return text
    parts = [text]
    for piece in escaped:
        if not piece:
            parts.append(" ")
            continue
        extended = EXTENSION.get(piece[0])
        if extended is None:
            parts.append(_charmap_decode(piece, "strict", _READ_BASIC)[0])
        else:
            parts.append(extended + _charmap_decode(piece[1:], "strict", _READ_BASIC)[0])
    return "".join(parts)

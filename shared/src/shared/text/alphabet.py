"""Encoders and decoders for 7-bit alphabets of one table and its extension (3GPP TS 23.038, 6.2.1), one septet an octet.

Encoding goes through C: `codecs.charmap_encode` first gives one octet a character, from a code page made for the
purpose (the table in its own places, extension characters above 0x80), and `bytes.translate` and `bytes.replace` turn
that into septets. 120 characters take about 1 us, a Python loop over a dict 10 us.
"""

import codecs
from collections.abc import Callable, Mapping
from typing import Any, Final

ESCAPE: Final = 0x1B
NONE: Final = "\ufffe"
"""A place of a table that holds no character: CPython's own mark, and no character of Unicode."""

Encoder = Callable[[str], bytes | int]
Decoder = Callable[[bytes], str]

_charmap_encode: Callable[[str, str, Any], tuple[bytes, int]] = codecs.charmap_encode
_charmap_decode: Callable[[bytes, str, str], tuple[str, int]] = codecs.charmap_decode

# The code page: its place 0 must be U+0000, or CPython falls back from its compact map to a dict. The table's own
# character there therefore takes 0x80, and U+0000 itself is refused after encoding.
_FIRST: Final = 0x80
_FIRST_EXTENDED: Final = 0x81
_TO_SEPTETS: Final = bytes.maketrans(bytes([_FIRST]), b"\0")


def encoder(basic: str, extension: Mapping[int, str]) -> Encoder:
    """A function from text to its septets, or to the position of the first character that the alphabet lacks.

    `basic` has 128 places, `extension` the character by the septet that follows the escape. A character of both is
    written from `basic`, which is cheaper.
    """
    extended = {septet: character for septet, character in extension.items() if character not in basic}
    page = "\0" + basic[1:ESCAPE] + NONE + basic[ESCAPE + 1 :] + basic[0] + "".join(extended.values())
    page_map: Any = codecs.charmap_build(page.ljust(256, NONE))
    codes_extended = bytes(range(_FIRST_EXTENDED, _FIRST_EXTENDED + len(extended)))
    pairs = tuple(
        (bytes([code]), bytes([ESCAPE, septet])) for code, septet in zip(codes_extended, extended, strict=True)
    )

    def try_encode(text: str) -> bytes | int:
        try:
            codes = _charmap_encode(text, "strict", page_map)[0]
        except UnicodeEncodeError as error:
            position = error.start
            nul = text.find("\0", 0, position)
            return position if nul < 0 else nul
        if b"\0" in codes:
            return codes.index(0)
        if codes.isascii():
            return codes
        if len(codes) != len(codes.translate(None, codes_extended)):
            for code, pair in pairs:
                codes = codes.replace(code, pair)
        return codes.translate(_TO_SEPTETS)

    return try_encode


def decoder(basic: str, extension: Mapping[int, str]) -> Decoder:
    """A function from unpacked septets to their text, which never raises.

    After an escape an unknown septet is read from `basic` (6.2.1.1, note 1); an escape that nothing follows is a
    space. A place that holds nothing, and an octet above 0x7F, which is no septet, become U+FFFD.
    """
    readable = (basic[:ESCAPE] + " " + basic[ESCAPE + 1 :]).replace(NONE, "\ufffd").ljust(256, "\ufffd")

    def decode(septets: bytes) -> str:
        first, *escaped = septets.split(b"\x1b")
        text = _charmap_decode(first, "strict", readable)[0]
        if not escaped:
            return text
        parts = [text]
        for piece in escaped:
            if not piece:
                parts.append(" ")
                continue
            extended = extension.get(piece[0])
            if extended is None:
                parts.append(_charmap_decode(piece, "strict", readable)[0])
            else:
                parts.append(extended + _charmap_decode(piece[1:], "strict", readable)[0])
        return "".join(parts)

    return decode

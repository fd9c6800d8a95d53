"""The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038, 6.2.1 and 6.2.1.1), one septet an octet."""

from typing import Final

from shared.text.alphabet import ESCAPE, decoder, encoder

__all__ = ["BASIC", "ESCAPE", "EXTENSION", "decode", "try_encode"]

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

try_encode: Final = encoder(BASIC, EXTENSION)
"""From text to its septets, or to the position of the first character that the alphabet lacks."""

decode: Final = decoder(BASIC, EXTENSION)
"""From unpacked septets to their text. Never raises; see `shared.text.alphabet.decoder`."""

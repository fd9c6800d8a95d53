"""Can this number get an SMS, and where is it? By the number plans that the `phonenumbers` library carries.

Judging costs 25 to 40 us, so answers are remembered: what a number is does not change while a process lives.
"""

import re
from functools import lru_cache
from typing import Final

import phonenumbers
from msgspec import Struct
from phonenumbers import PhoneNumberType
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

RULES: Final = f"numbers@{phonenumbers.__version__}"
NOWHERE: Final = "ZZ"  # a country code that belongs to no country, or to none yet
REMEMBERED: Final = 50_000  # about 20 MB

_SEPARATORS: Final = re.compile(r"[\s().\-/\u00a0\u2011]+")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164, 6: at most fifteen digits
_MOBILE: Final = {PhoneNumberType.MOBILE: "mobile", PhoneNumberType.FIXED_LINE_OR_MOBILE: "landline or mobile"}
_REFUSED: Final = {
    PhoneNumberType.FIXED_LINE: ("landline", "a landline"),
    PhoneNumberType.PREMIUM_RATE: ("premium", "a premium-rate number"),
    PhoneNumberType.SHARED_COST: ("shared cost", "a shared-cost number"),
    PhoneNumberType.TOLL_FREE: ("toll-free", "a toll-free number"),
    PhoneNumberType.VOIP: ("voip", "a VoIP number"),
    PhoneNumberType.PERSONAL_NUMBER: ("personal", "a personal number that forwards at the caller's cost"),
    PhoneNumberType.PAGER: ("pager", "a pager"),
    PhoneNumberType.UAN: ("company", "a company number"),
    PhoneNumberType.VOICEMAIL: ("voicemail", "a voice mailbox"),
}


class NumberFacts(Struct, frozen=True, gc=False):
    """`country` is ISO 3166-1 alpha-2, ZZ when the number tells none. `kind` is what the plan calls it: mobile, landline,
    premium. `time_zone` is given where only one is possible. `problem` says why no SMS goes there; None when one may. The
    repr shows no number."""

    number: str
    country: str
    prefix: str
    problem: str | None
    time_zone: str | None
    kind: str

    def __repr__(self) -> str:
        return f"<NumberFacts {self.country} problem={self.problem}>"


def written_as_e164(given: str) -> str | None:
    """`given` without separators, `00` read as `+`; None when it is not an international number at all."""
    number = _SEPARATORS.sub("", given)
    if number.startswith("00"):
        number = "+" + number[2:]
    return number if _E164.fullmatch(number) else None


def prefix_of(number: str) -> str:
    """Leading digits that may travel in the clear: at most seven, never the last four. `number` starts with +."""
    return number[1:-4][:7]


@lru_cache(maxsize=REMEMBERED)
def judge(number: str) -> NumberFacts:
    """What is known of a number in E.164, with its +. Never raises."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return NumberFacts(
            number, NOWHERE, prefix_of(number), "no country has this number's country code", None, "unknown"
        )
    canonical = f"+{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"
    country, prefix = _country(parsed), prefix_of(canonical)
    kind = phonenumbers.number_type(parsed)
    if kind in _MOBILE:
        return NumberFacts(canonical, country, prefix, None, _zone(canonical), _MOBILE[kind])
    name, problem = _REFUSED.get(kind, ("unknown", "not a number that its country assigns"))
    return NumberFacts(canonical, country, prefix, problem, None, name)


def _zone(number: str) -> str | None:
    """The only zone that a valid number can be in, by its longest known prefix."""
    for length in range(min(TIMEZONE_LONGEST_PREFIX, len(number) - 1), 0, -1):
        zones = TIMEZONE_DATA.get(number[1 : 1 + length])
        if zones is not None:
            return zones[0] if len(zones) == 1 else None
    return None


def _country(parsed: phonenumbers.PhoneNumber) -> str:
    """The number's country; for a number that no country assigns the main one of its country code."""
    region = phonenumbers.region_code_for_number(parsed)
    if region is None:
        region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return region if len(region) == 2 else NOWHERE  # "001" is a code without a country: satellites, networks

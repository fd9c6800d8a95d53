"""Can this number get an SMS, and where is it? By the number plans that the `phonenumbers` library carries.

Judging costs about 25 us, so answers are remembered: what a number is does not change while a process lives.
"""

import re
from functools import lru_cache
from typing import Final

import phonenumbers
from msgspec import Struct
from phonenumbers import PhoneNumberType, timezone

RULES: Final = f"numbers@{phonenumbers.__version__}"
NOWHERE: Final = "ZZ"  # a country code that belongs to no country, or to none yet
REMEMBERED: Final = 50_000  # about 20 MB

_SEPARATORS: Final = re.compile(r"[\s().\-/\u00a0\u2011]+")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164, 6: at most fifteen digits
_MOBILE: Final = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_REFUSED: Final = {
    PhoneNumberType.FIXED_LINE: "a landline",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.VOIP: "a VoIP number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number that forwards at the caller's cost",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.UAN: "a company number",
    PhoneNumberType.VOICEMAIL: "a voice mailbox",
}


class NumberFacts(Struct, frozen=True, gc=False):
    """`country` is ISO 3166-1 alpha-2, ZZ when the number tells none. `time_zone` is given where only one is possible.
    `problem` says why no SMS goes there; None when one may. The repr shows no number."""

    number: str
    country: str
    prefix: str
    problem: str | None
    time_zone: str | None

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
        return NumberFacts(number, NOWHERE, prefix_of(number), "no country has this number's country code", None)
    canonical = f"+{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"
    country = _country(parsed)
    kind = phonenumbers.number_type(parsed)
    if kind in _MOBILE:
        zones = timezone.time_zones_for_number(parsed)
        zone = zones[0] if len(zones) == 1 and zones[0] != timezone.UNKNOWN_TIMEZONE else None
        return NumberFacts(canonical, country, prefix_of(canonical), None, zone)
    problem = _REFUSED.get(kind, "not a number that its country assigns")
    return NumberFacts(canonical, country, prefix_of(canonical), problem, None)


def _country(parsed: phonenumbers.PhoneNumber) -> str:
    """The number's country; for a number that no country assigns the main one of its country code."""
    region = phonenumbers.region_code_for_number(parsed)
    if region is None:
        region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return region if len(region) == 2 else NOWHERE  # "001" is a code without a country: satellites, networks

"""An audience for the demo: the same people for the same seed. Pure; nothing here is sent by itself.

The numbers are valid by `phonenumbers`, so some may belong to somebody: only simulated carriers may see them, and
`run.py` makes sure of that.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from relais_local.demo.countries import COUNTRIES, Country

SEED = 33
SIZE = 21_000

INVALID_SHARE = 0.01
LANDLINE_SHARE = 0.015
NO_CONSENT_SHARE = 0.08
WITHDRAWN_SHARE = 0.04
BUYERS_SHARE = 0.35

PURPOSE = "marketing"

T = TypeVar("T")


@dataclass(frozen=True)
class Audience:
    """Bodies of the public API's batches, in the order in which they are to be sent."""

    contacts: list[dict[str, Any]] = field(default_factory=list)
    consents: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last_ref(self) -> str:
        """The contact to send after everything else: where it is, all is there."""
        return str(self.contacts[-1]["ref"])


def last_ref(size: int = SIZE) -> str:
    return _ref(size - 1)


def make_audience(now: datetime, *, seed: int = SEED, size: int = SIZE) -> Audience:
    """`size` people over six countries. `now` (aware) is when the newest purchase may have been."""
    dice = random.Random(seed)
    audience = Audience()
    numbers = {country.code: _Numbers(country.code, dice) for country in COUNTRIES}
    for index in range(size):
        country = dice.choices(COUNTRIES, [country.share for country in COUNTRIES])[0]
        audience.contacts.append(_contact(dice, index, size, country, numbers[country.code]))
        audience.consents.extend(_consents(dice, _ref(index), now))
        audience.events.extend(_purchases(dice, index, country, now))
    return audience


def batches(items: Sequence[T], size: int = 1000) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _ref(index: int) -> str:
    return f"demo-{index:05}"


def _contact(dice: random.Random, index: int, size: int, country: Country, numbers: "_Numbers") -> dict[str, Any]:
    kind = dice.random()
    if index == size - 1 or kind >= INVALID_SHARE + LANDLINE_SHARE:
        number = numbers.mobile()
    elif kind < INVALID_SHARE:
        number = numbers.invalid()
    else:
        number = numbers.landline()
    return {
        "ref": _ref(index),
        "number": number,
        "attributes": {
            "first_name": dice.choice(country.first_names),
            "last_name": dice.choice(country.last_names),
            "country": country.code,
            "city": dice.choice(country.cities),
            "tier": dice.choices(("bronze", "silver", "gold"), (70, 22, 8))[0],
            "points": dice.randrange(20, 2000),
        },
        "locale": _weighted(dice, country.locales),
        "time_zone": _weighted(dice, country.time_zones),
    }


def _consents(dice: random.Random, ref: str, now: datetime) -> Iterator[dict[str, Any]]:
    kind = dice.random()
    if kind < NO_CONSENT_SHARE:
        return
    granted_at = now - timedelta(days=dice.uniform(200, 900))
    source = dice.choice(("web-form", "shop", "app"))
    yield {
        "contact": ref,
        "purpose": PURPOSE,
        "state": "granted",
        "source": source,
        "proof": f"{source}/{granted_at:%Y-%m-%d}/{ref}",
        "at": _stamp(granted_at),
    }
    if kind < NO_CONSENT_SHARE + WITHDRAWN_SHARE:
        withdrawn_at = now - timedelta(days=dice.uniform(1, 199))
        yield {
            "contact": ref,
            "purpose": PURPOSE,
            "state": "withdrawn",
            "source": "preference-centre",
            "proof": f"preference-centre/{withdrawn_at:%Y-%m-%d}/{ref}",
            "at": _stamp(withdrawn_at),
        }


def _purchases(dice: random.Random, index: int, country: Country, now: datetime) -> Iterator[dict[str, Any]]:
    if dice.random() >= BUYERS_SHARE:
        return
    for number in range(dice.choices((1, 2, 3, 5), (60, 25, 10, 5))[0]):
        yield {
            "id": f"demo-{index:05}-{number}",
            "contact": _ref(index),
            "name": "purchase",
            "at": _stamp(now - timedelta(days=dice.uniform(0, 180))),
            "value": f"{min(dice.lognormvariate(3.6, 0.6), 900):.2f}",
            "currency": country.currency,
            "properties": {"category": dice.choice(("shoes", "books", "garden", "music", "kitchen"))},
        }


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _weighted(dice: random.Random, choices: Sequence[tuple[str, float]]) -> str:
    return dice.choices([value for value, _ in choices], [weight for _, weight in choices])[0]


class _Numbers:
    """Draws numbers of one region: an example's first digits, the rest by chance, until one is valid and new."""

    def __init__(self, region: str, dice: random.Random) -> None:
        self._region = region
        self._dice = dice
        self._drawn: set[str] = set()

    def mobile(self) -> str:
        return self._draw(PhoneNumberType.MOBILE, kept_digits=2)

    def landline(self) -> str:
        return self._draw(PhoneNumberType.FIXED_LINE, kept_digits=3)

    def invalid(self) -> str:
        """A mobile number as people mistype it: three digits short."""
        while True:
            number = self.mobile()[:-3]
            if number not in self._drawn and not phonenumbers.is_valid_number(phonenumbers.parse(number)):
                self._drawn.add(number)
                return number

    def _draw(self, kind: int, kept_digits: int) -> str:
        example = phonenumbers.example_number_for_type(self._region, kind)
        if example is None:
            raise ValueError(f"phonenumbers has no example of this type for {self._region}")
        digits = phonenumbers.national_significant_number(example)
        while True:
            tail = "".join(self._dice.choices("0123456789", k=len(digits) - kept_digits))
            number = phonenumbers.PhoneNumber(
                country_code=example.country_code, national_number=int(digits[:kept_digits] + tail),
                italian_leading_zero=example.italian_leading_zero,
            )  # fmt: skip
            written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
            if written not in self._drawn and phonenumbers.number_type(number) == kind:
                self._drawn.add(written)
                return written

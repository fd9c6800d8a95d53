"""Is an event told by the tenant a conversion that can be believed? And what does a second telling change?"""

from enum import StrEnum
from typing import Final, NamedTuple

from shared.contracts.events import EventTracked

from analytics.domain.attribution import Conversion

LATE_MS: Final = 3_600_000

# ISO 4217 as published by SIX, list one: the codes in use.
CURRENCIES: Final = frozenset(
    [
        "AED",
        "AFN",
        "ALL",
        "AMD",
        "ANG",
        "AOA",
        "ARS",
        "AUD",
        "AWG",
        "AZN",
        "BAM",
        "BBD",
        "BDT",
        "BGN",
        "BHD",
        "BIF",
        "BMD",
        "BND",
        "BOB",
        "BRL",
        "BSD",
        "BTN",
        "BWP",
        "BYN",
        "BZD",
        "CAD",
        "CDF",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CRC",
        "CUP",
        "CVE",
        "CZK",
        "DJF",
        "DKK",
        "DOP",
        "DZD",
        "EGP",
        "ERN",
        "ETB",
        "EUR",
        "FJD",
        "FKP",
        "GBP",
        "GEL",
        "GHS",
        "GIP",
        "GMD",
        "GNF",
        "GTQ",
        "GYD",
        "HKD",
        "HNL",
        "HTG",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "IQD",
        "IRR",
        "ISK",
        "JMD",
        "JOD",
        "JPY",
        "KES",
        "KGS",
        "KHR",
        "KMF",
        "KPW",
        "KRW",
        "KWD",
        "KYD",
        "KZT",
        "LAK",
        "LBP",
        "LKR",
        "LRD",
        "LSL",
        "LYD",
        "MAD",
        "MDL",
        "MGA",
        "MKD",
        "MMK",
        "MNT",
        "MOP",
        "MRU",
        "MUR",
        "MVR",
        "MWK",
        "MXN",
        "MYR",
        "MZN",
        "NAD",
        "NGN",
        "NIO",
        "NOK",
        "NPR",
        "NZD",
        "OMR",
        "PAB",
        "PEN",
        "PGK",
        "PHP",
        "PKR",
        "PLN",
        "PYG",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "RWF",
        "SAR",
        "SBD",
        "SCR",
        "SDG",
        "SEK",
        "SGD",
        "SHP",
        "SLE",
        "SOS",
        "SRD",
        "SSP",
        "STN",
        "SVC",
        "SYP",
        "SZL",
        "THB",
        "TJS",
        "TMT",
        "TND",
        "TOP",
        "TRY",
        "TTD",
        "TWD",
        "TZS",
        "UAH",
        "UGX",
        "USD",
        "UYU",
        "UZS",
        "VED",
        "VES",
        "VND",
        "VUV",
        "WST",
        "XAF",
        "XCD",
        "XCG",
        "XOF",
        "XPF",
        "YER",
        "ZAR",
        "ZMW",
        "ZWG",
    ]
)


class Refusal(StrEnum):
    """Why an event earns nothing; counted, and shown with the reports."""

    UNKNOWN_CURRENCY = "unknown_currency"
    NO_CURRENCY = "no_currency"
    NEGATIVE = "negative"  # a refund is told by telling the same id again with the lower value
    ERASED = "erased"


def conversion_of(event: EventTracked) -> Conversion | Refusal:
    if event.value is not None:
        if event.value < 0:
            return Refusal.NEGATIVE
        if event.currency is None:
            return Refusal.NO_CURRENCY
        if event.currency not in CURRENCIES:
            return Refusal.UNKNOWN_CURRENCY
    return Conversion(event.event_id, event.name, event.occurred_at, event.value, event.currency)


class Correction(NamedTuple):
    before: Conversion
    after: Conversion


def correction_of(known: Conversion, told: Conversion) -> Correction | None:
    """What telling an id again changes; None for a repeat. A repeat without a time of its own carries a later one:
    the time alone moves only backwards, to where the thing happened."""
    if (known.name, known.value, known.currency) == (told.name, told.value, told.currency) and told.at >= known.at:
        return None
    return Correction(known, told._replace(at=min(known.at, told.at)))

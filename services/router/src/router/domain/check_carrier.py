"""Is this a description of a carrier that we can work with?"""

import re
from collections.abc import Mapping
from typing import Any

from router.domain.money import micros_of
from router.domain.tariff import PREFIX_DIGITS, Terms
from router.domain.trouble import FieldTrouble, TroublesError

_CARRIER_ID = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_PREFIX = re.compile(rf"[0-9]{{0,{PREFIX_DIGITS}}}", re.ASCII)
_FIELDS = ("tps", "binds", "currency", "prices", "enabled")
MOST_PRICES = 20_000


class CarrierTroubleError(TroublesError):
    """The description of a carrier is wrong."""


def check_id(carrier: str) -> None:
    if not _CARRIER_ID.fullmatch(carrier):
        raise CarrierTroubleError([FieldTrouble("id", "invalid", "1 to 32 of a-z, 0-9 and hyphen")])


def check_carrier(carrier: str, body: object) -> Terms:
    """`{"tps":1000,"binds":1,"currency":"EUR","prices":{"33":"0.045","":"0.06"},"enabled":true}`.

    CarrierTroubleError with every trouble found.
    """
    check_id(carrier)
    if not isinstance(body, Mapping):
        raise CarrierTroubleError([FieldTrouble("body", "invalid", "must be a JSON object")])
    troubles = [FieldTrouble(str(name), "unknown", "no such field") for name in body if name not in _FIELDS]
    tps = _whole("tps", body, 100_000, troubles)
    binds = _whole("binds", body, 64, troubles)
    currency = body.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        troubles.append(FieldTrouble("currency", "invalid", "must be an ISO 4217 code such as EUR"))
    enabled = body.get("enabled", True)
    if not isinstance(enabled, bool):
        troubles.append(FieldTrouble("enabled", "invalid", "must be true or false"))
    prices = _prices(body.get("prices"), troubles)
    if troubles:
        raise CarrierTroubleError(troubles)
    return Terms(carrier, tps, binds, str(currency), prices, bool(enabled))


def _whole(name: str, body: Mapping[str, Any], most: int, troubles: list[FieldTrouble]) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        troubles.append(FieldTrouble(name, "invalid", f"must be a whole number from 1 to {most}"))
        return 0
    return value


def _prices(given: object, troubles: list[FieldTrouble]) -> dict[str, int]:
    if not isinstance(given, Mapping):
        detail = 'must be an object of prices by number prefix, such as {"33": "0.045", "": "0.06"}'
        troubles.append(FieldTrouble("prices", "invalid", detail))
        return {}
    if len(given) > MOST_PRICES:
        troubles.append(FieldTrouble("prices", "too_many", f"at most {MOST_PRICES}"))
        return {}
    found = {}
    for prefix, price in given.items():
        field = f"prices.{prefix}"
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            detail = f"a prefix is at most {PREFIX_DIGITS} digits without +; empty is for all the rest"
            troubles.append(FieldTrouble(field, "invalid_prefix", detail))
            continue
        try:
            found[prefix] = micros_of(price if isinstance(price, str) else "")
        except ValueError as error:
            troubles.append(FieldTrouble(field, "invalid_price", str(error)))
    return found

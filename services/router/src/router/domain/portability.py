"""Which network a number is in now, when it has left the one that its range was given to.

What is known of single numbers goes before the number plan, until it expires. Numbers stand for themselves nowhere but in
a question to a source: what is kept is their keyed hash.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from router.domain.choose_carrier import CarrierChoice, Send
from router.domain.routes import Ask
from router.domain.trouble import FieldTrouble, TroublesError

MOST_KEPT = 300_000  # numbers in memory, about 60 MB
MOST_ROWS = 200_000
_NUMBER = re.compile(r"\+?([1-9][0-9]{6,14})", re.ASCII)
_NETWORK = re.compile(r"[0-9]{5,6}", re.ASCII)
_NAPTR_TEXT = re.compile(r"[;!](mcc|mnc)=([0-9]{2,3})(?=[;!@]|$)", re.ASCII | re.IGNORECASE)


class PortabilitySource(Protocol):
    """One way to ask: an HTTP service, ENUM in DNS, and later SS7 (MAP SRI-SM) through a gateway."""

    name: str

    async def look_up(self, numbers: Sequence[str], found: dict[str, str | None]) -> None:
        """Puts MCC and MNC of each number (E.164 with +) into `found` as answers come: None for one that the source
        knows nothing of. May be cancelled at its deadline, with what was found until then. SourceError when it fails."""


class SourceError(Exception):
    """The source did not answer as it should. The message holds no number."""


class Known(NamedTuple):
    """`network` is empty where a source knew nothing: then the number plan says."""

    network: str
    expires: int


class PortedNumbers:
    """The numbers that are known, by their hash. The oldest are forgotten when there are too many."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._known: dict[str, Known] = {}

    def add(self, number_hash: str, known: Known) -> None:
        self._known.pop(number_hash, None)
        self._known[number_hash] = known
        if len(self._known) > self._most:
            for old in list(self._known)[: self._most // 10 + 1]:
                del self._known[old]

    def get(self, number_hash: str, now: int) -> Known | None:
        found = self._known.get(number_hash)
        return found if found is not None and now < found.expires else None


class Worth:
    """Would another network change who takes a message? Remembered for one set of prices and rules, for a while."""

    LASTS_MS = 10_000  # quality and health move the answer slowly, and a wrong one costs one lookup or some cents

    def __init__(self) -> None:
        self._remembered: dict[tuple[object, ...], bool] = {}
        self._of: tuple[object, ...] = ()

    def changes(self, choice: CarrierChoice, ask: Ask, networks: Iterable[str], now: int) -> bool:
        of = (choice.tariff.version, choice.routes.version, now // self.LASTS_MS)
        if of != self._of:
            self._remembered, self._of = {}, of
        prefix = choice.tariff.significant(ask.prefix)
        key = (
            prefix, ask.network, ask.country, ask.sender, ask.purpose == "otp", *(ask[place] for place in choice.routes.looked_at)
        )  # fmt: skip
        found = self._remembered.get(key)
        if found is None:
            here = _taker(choice, ask)
            found = any(_taker(choice, ask._replace(network=network)) != here for network in networks)
            self._remembered[key] = found
        return found


def _taker(choice: CarrierChoice, ask: Ask) -> str:
    found = choice.choose(ask)
    return found.carrier if isinstance(found, Send) else f"nobody: {found.reason}"


def network_in_naptr(text: str) -> str | None:
    """MCC and MNC of a NAPTR's regular expression, as operators of number databases write them:
    `!^.*$!tel:+33612345678;mcc=208;mnc=10!` (parameters of a tel or sip URI, RFC 3966 section 5). None where it has none."""
    found = {name.lower(): value for name, value in _NAPTR_TEXT.findall(text)}
    return found["mcc"] + found["mnc"] if len(found) == 2 and len(found["mcc"]) == 3 else None


def enum_name(number: str, zone: str) -> str:
    """`+33612` under `e164.arpa` is `2.1.6.3.3.e164.arpa` (RFC 6116, section 3.2)."""
    return ".".join((*reversed(number.removeprefix("+")), zone.strip(".")))


def read_ported(text: str) -> dict[str, str]:
    """Number (E.164 with +) to MCC and MNC, of a CSV with the columns number, mcc and mnc, or number and mccmnc.

    TroublesError names every wrong row, counted from 1 for the heading. The numbers themselves are not told.
    """
    rows = csv.reader(io.StringIO(text))
    heading = [name.strip().lower() for name in next(rows, [])]
    split = {"mcc", "mnc"} <= set(heading)
    if "number" not in heading or not (split or "mccmnc" in heading):
        raise TroublesError([FieldTrouble("row 1", "missing_column", "needs number, and mccmnc or mcc and mnc")])
    found: dict[str, str] = {}
    troubles: list[FieldTrouble] = []
    for place, cells in enumerate(rows, 2):
        if not any(cells):
            continue
        row = dict(zip(heading, (cell.strip() for cell in cells), strict=False))
        number = _NUMBER.fullmatch(row.get("number", ""))
        network = row.get("mcc", "") + row.get("mnc", "") if split else row.get("mccmnc", "")
        if number is None:
            troubles.append(FieldTrouble(f"row {place} number", "invalid", "must be a number in E.164"))
        elif not _NETWORK.fullmatch(network):
            troubles.append(FieldTrouble(f"row {place} mnc", "invalid", "MCC has three digits and MNC two or three"))
        elif found.get(f"+{number[1]}", network) != network:
            troubles.append(FieldTrouble(f"row {place} number", "twice", "another row has it in another network"))
        else:
            found[f"+{number[1]}"] = network
    if len(found) > MOST_ROWS:
        troubles.append(FieldTrouble("csv", "too_many", f"at most {MOST_ROWS} numbers at once: send several"))
    if not found and not troubles:
        troubles.append(FieldTrouble("csv", "empty", "has no number"))
    if troubles:
        raise TroublesError(troubles)
    return found

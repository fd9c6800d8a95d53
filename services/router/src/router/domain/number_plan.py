"""Country and network (MCC and MNC) of a number, from the longest range that its leading digits fall into."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from router.domain.tariff import PREFIX_DIGITS
from router.domain.trouble import FieldTrouble, TroublesError

_DIGITS = re.compile(rf"[0-9]{{1,{PREFIX_DIGITS}}}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_MCC = re.compile(r"[0-9]{3}", re.ASCII)
_MNC = re.compile(r"[0-9]{2,3}", re.ASCII)
COLUMNS = ("prefix", "country", "mcc", "mnc", "operator")
MOST_RANGES = 200_000


class Range(NamedTuple):
    """`network`: MCC and MNC written together, such as 20801; empty where the range belongs to none that is known."""

    prefix: str
    country: str
    network: str
    operator: str


class NumberPlan:
    """All ranges of one version. An operator's ranges for a country replace those that came with the service."""

    def __init__(self, version: int, ranges: Iterable[Range]) -> None:
        self.version = version
        self._ranges: Mapping[str, Range] = {found.prefix: found for found in ranges}
        self._networks: dict[str, set[str]] = {}
        self._prefixes: dict[str, list[str]] = {}
        for found in self._ranges.values():
            self._prefixes.setdefault(found.country, []).append(found.prefix)
            if found.network:
                self._networks.setdefault(found.country, set()).add(found.network)

    def range_of(self, prefix: str) -> Range | None:
        ranges = self._ranges
        for length in range(min(len(prefix), PREFIX_DIGITS), 0, -1):
            found = ranges.get(prefix[:length])
            if found is not None:
                return found
        return None

    def network_of(self, prefix: str) -> str | None:
        found = self.range_of(prefix)
        return (found.network or None) if found is not None else None

    def networks(self, country: str) -> frozenset[str]:
        return frozenset(self._networks.get(country, ()))

    def every_network(self) -> frozenset[str]:
        return frozenset().union(*self._networks.values())

    def prefixes(self, country: str) -> list[str]:
        return self._prefixes.get(country, [])

    def countries(self) -> dict[str, int]:
        """Country to how many ranges it has."""
        return {country: len(found) for country, found in sorted(self._prefixes.items())}

    @property
    def ranges(self) -> Iterable[Range]:
        return self._ranges.values()

    def __len__(self) -> int:
        return len(self._ranges)


EMPTY_PLAN = NumberPlan(0, ())


def overlaid(version: int, seed: Iterable[Range], imported: Iterable[Range]) -> NumberPlan:
    given = list(imported)
    countries = {found.country for found in given}
    return NumberPlan(version, [*(found for found in seed if found.country not in countries), *given])


def read_ranges(text: str) -> list[Range]:
    """The ranges of a CSV with the columns `COLUMNS`; lines that begin with # say where it comes from.

    TroublesError names every wrong row, counted from 1 for the heading as a spreadsheet does without the remarks.
    """
    rows = csv.reader(io.StringIO("\n".join(line for line in text.splitlines() if not line.startswith("#"))))
    heading = [name.strip().lower() for name in next(rows, [])]
    missing = [name for name in COLUMNS[:4] if name not in heading]
    if missing:
        raise TroublesError([FieldTrouble("row 1", "missing_column", f"no column {name}") for name in missing])
    found: dict[str, Range] = {}
    troubles: list[FieldTrouble] = []
    for number, cells in enumerate(rows, 2):
        if not any(cells):
            continue
        row = dict(zip(heading, (cell.strip() for cell in cells), strict=False))
        trouble = _trouble(row)
        if trouble is None and row["prefix"] in found:
            trouble = ("prefix", "twice", "this prefix has a row already")
        if trouble is not None:
            troubles.append(FieldTrouble(f"row {number} {trouble[0]}", trouble[1], trouble[2]))
            continue
        network = row["mcc"] + row["mnc"]
        found[row["prefix"]] = Range(row["prefix"], row["country"], network, row.get("operator", "")[:100])
    if len(found) > MOST_RANGES:
        troubles.append(FieldTrouble("csv", "too_many", f"at most {MOST_RANGES} ranges"))
    if not found and not troubles:
        troubles.append(FieldTrouble("csv", "empty", "has no range"))
    if troubles:
        raise TroublesError(troubles)
    return list(found.values())


def _trouble(row: Mapping[str, str]) -> tuple[str, str, str] | None:
    if not _DIGITS.fullmatch(row.get("prefix", "")):
        return "prefix", "invalid", f"must be 1 to {PREFIX_DIGITS} digits without +"
    if not _COUNTRY.fullmatch(row.get("country", "")):
        return "country", "invalid", "must be ISO 3166-1 alpha-2 in capitals"
    mcc, mnc = row.get("mcc", ""), row.get("mnc", "")
    if (mcc or mnc) and not (_MCC.fullmatch(mcc) and _MNC.fullmatch(mnc)):
        return "mnc", "invalid", "mcc has three digits and mnc two or three, or both are empty"
    return None

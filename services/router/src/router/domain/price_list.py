"""A carrier's price list as the CSV it sends, read through a mapping: which column holds what.

The list is taken or refused as a whole. Prices are for one part; a row is for a network (MCC and MNC), for a whole
country (MCC alone) or for a number prefix, from a date and until another.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from router.domain.money import micros_of
from router.domain.number_plan import NumberPlan
from router.domain.tariff import PREFIX_DIGITS
from router.domain.trouble import FieldTrouble, TroublesError

MOST_ROWS = 50_000
FIELDS = ("network", "mcc", "mnc", "prefix", "price", "currency", "valid_from", "valid_until")
# What carriers call their columns, lower case and without what is in brackets. The first that fits is proposed.
_USUAL: Mapping[str, tuple[str, ...]] = {
    "network": ("mccmnc", "mcc-mnc", "mcc/mnc", "mcc mnc", "plmn", "imsi"),
    "mcc": ("mcc", "mobile country code"),
    "mnc": ("mnc", "mobile network code"),
    "prefix": ("prefix", "dial code", "code", "destination code", "dialing code"),
    "price": (
        "price",
        "rate",
        "cost",
        "unit price",
        "tariff",
        "new price",
        "new rate",
        "price per sms",
        "prix",
        "preis",
    ),
    "currency": ("currency", "ccy", "devise", "währung"),
    "valid_from": ("valid from", "valid_from", "effective date", "effective from", "effective", "start date", "from"),
    "valid_until": ("valid until", "valid_until", "valid to", "end date", "expiry date", "until"),
}
_DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S")
_NETWORK = re.compile(r"([0-9]{3})[-/ ]?([0-9]{2,3})?", re.ASCII)
_PREFIX = re.compile(rf"\+?([0-9]{{0,{PREFIX_DIGITS}}})", re.ASCII)


class ListPrice(NamedTuple):
    """One price. `kind`: network or prefix; `code`: MCC with or without MNC, or digits. Times in ms UTC, end exclusive."""

    kind: str
    code: str
    price: int
    valid_from: int
    valid_until: int | None


@dataclass(frozen=True, slots=True)
class Mapped:
    """How to read one shape of CSV. `columns`: our field to the heading of its column."""

    columns: Mapping[str, str]
    separator: str = ","
    decimal: str = "."
    date: str | None = None  # as strptime writes it; None: ISO 8601


@dataclass(frozen=True, slots=True)
class ReadList:
    prices: Sequence[ListPrice]
    starts: int  # the first moment of the list: what was before stays in force until then
    mapping: Mapped
    rows: int = 0
    samples: Sequence[Mapping[str, str]] = field(default=())


def proposed(text: str) -> Mapped:
    """A mapping guessed from the heading, for a person to look at. Its `columns` may lack some."""
    heading = text.lstrip("\ufeff").splitlines()[0] if text.strip() else ""
    separator = max(";\t,|", key=heading.count)
    names = next(csv.reader([heading], delimiter=separator), [])
    plain = {re.sub(r"\s*[(\[].*?[)\]]", "", name).strip().lower(): name for name in reversed(names)}
    columns = {
        wanted: next(plain[usual] for usual in usuals if usual in plain)
        for wanted, usuals in _USUAL.items()
        if any(usual in plain for usual in usuals)
    }
    if "network" in columns:
        columns = {name: column for name, column in columns.items() if name not in ("mcc", "mnc")}
    decimal = "," if separator != "," and re.search(r"\d,\d", text[:20_000]) else "."
    return Mapped(columns, separator, decimal)


def checked_mapping(given: object, text: str) -> Mapped:
    """The mapping from a request: {"columns": {...}, "separator", "decimal", "date"}; what is not said is proposed."""
    guess = proposed(text)
    if given is None:
        return guess
    troubles: list[FieldTrouble] = []
    if not isinstance(given, Mapping):
        raise TroublesError([FieldTrouble("mapping", "invalid", "must be an object")])
    known = ("columns", "separator", "decimal", "date")
    troubles += [FieldTrouble(f"mapping.{name}", "unknown", "no such field") for name in given if name not in known]
    columns = given.get("columns", guess.columns)
    if not isinstance(columns, Mapping) or not all(isinstance(c, str) for c in columns.values()):
        troubles.append(FieldTrouble("mapping.columns", "invalid", "must be an object of headings by field"))
        columns = {}
    troubles += [
        FieldTrouble(f"mapping.columns.{name}", "unknown", f"must be one of {', '.join(FIELDS)}")
        for name in columns
        if name not in FIELDS
    ]
    separator, decimal, date = (
        given.get("separator", guess.separator),
        given.get("decimal", guess.decimal),
        given.get("date"),
    )
    if separator not in (",", ";", "\t", "|"):
        troubles.append(FieldTrouble("mapping.separator", "invalid", "must be a comma, semicolon, tab or bar"))
    if decimal not in (".", ","):
        troubles.append(FieldTrouble("mapping.decimal", "invalid", "must be . or ,"))
    if date is not None and not isinstance(date, str):
        troubles.append(FieldTrouble("mapping.date", "invalid", "must be a pattern such as %d/%m/%Y"))
    if troubles:
        raise TroublesError(troubles)
    return Mapped(dict(columns), separator, decimal, date)


def read_list(text: str, mapping: Mapped, currency: str, now: int) -> ReadList:
    """TroublesError with every wrong row, counted from 1 for the heading. Rows without a date are in force from `now`."""
    rows = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=mapping.separator)
    heading = [name.strip() for name in next(rows, [])]
    _check_columns(mapping, heading)
    places = {name: heading.index(column) for name, column in mapping.columns.items()}
    reader = _Reader(mapping, currency, now)
    samples: list[Mapping[str, str]] = []
    count = 0
    for number, cells in enumerate(rows, 2):
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > MOST_ROWS:
            reader.troubles.append(FieldTrouble("csv", "too_many", f"at most {MOST_ROWS} rows"))
            break
        row = {name: cells[place].strip() if place < len(cells) else "" for name, place in places.items()}
        if len(samples) < 3:
            samples.append(row)
        reader.read(number, row)
    if not count:
        reader.troubles.append(FieldTrouble("csv", "empty", "has no row"))
    prices = _joined(reader.prices, reader.troubles)
    if reader.troubles:
        raise TroublesError(reader.troubles)
    return ReadList(prices, min(price.valid_from for price in prices), mapping, count, samples)


def without_price(prices: Iterable[ListPrice], plan: NumberPlan) -> list[str]:
    """Networks of the countries (MCC) that the list names which it has no price for: they go by prefix, or not at all."""
    codes = {price.code for price in prices if price.kind == "network"}
    countries = {code[:3] for code in codes} - codes
    return sorted(n for n in plan.every_network() if n[:3] in countries and n not in codes)


def _check_columns(mapping: Mapped, heading: Sequence[str]) -> None:
    troubles = [
        FieldTrouble(f"mapping.columns.{name}", "missing_column", "the list has no column of this heading")
        for name, column in mapping.columns.items()
        if column not in heading
    ]
    names = mapping.columns.keys()
    if "price" not in names:
        troubles.append(FieldTrouble("mapping.columns.price", "missing", "say which column holds the price"))
    if not names & {"network", "mcc", "prefix"}:
        detail = "say which column holds the network (network, or mcc and mnc) or the prefix"
        troubles.append(FieldTrouble("mapping.columns.network", "missing", detail))
    if troubles:
        raise TroublesError(troubles)


class _Reader:
    def __init__(self, mapping: Mapped, currency: str, now: int) -> None:
        self._mapping, self._currency, self._now = mapping, currency, now
        self.prices: list[tuple[int, ListPrice]] = []
        self.troubles: list[FieldTrouble] = []

    def read(self, number: int, row: Mapping[str, str]) -> None:
        before = len(self.troubles)
        kind, code = self._place(number, row)
        price = self._price(number, row["price"])
        currency = row.get("currency", "")
        if currency and currency.upper() != self._currency:
            self._wrong(number, "currency", "other_currency", f"the carrier's prices are in {self._currency}")
        begins = self._moment(number, "valid_from", row) or self._now
        ends = self._moment(number, "valid_until", row)
        if ends is not None and ends <= begins:
            self._wrong(number, "valid_until", "invalid", "ends before it begins")
        if len(self.troubles) == before:
            self.prices.append((number, ListPrice(kind, code, price, begins, ends)))

    def _wrong(self, number: int, name: str, code: str, detail: str) -> None:
        self.troubles.append(FieldTrouble(f"row {number} {name}", code, detail))

    def _place(self, number: int, row: Mapping[str, str]) -> tuple[str, str]:
        network = row.get("network", "") or row.get("mcc", "") + row.get("mnc", "")
        if network:
            found = _NETWORK.fullmatch(network)
            if found is None:
                self._wrong(
                    number,
                    "network",
                    "invalid",
                    "must be an MCC of three digits, with or without an MNC of two or three",
                )
                return "", ""
            return "network", found[1] + (found[2] or "")
        if "prefix" not in row:
            self._wrong(number, "network", "missing", "names no network")
            return "", ""
        digits = _PREFIX.fullmatch(row["prefix"])
        if digits is None:
            self._wrong(number, "prefix", "invalid", f"must be at most {PREFIX_DIGITS} digits")
            return "", ""
        return "prefix", digits[1]

    def _price(self, number: int, text: str) -> int:
        plain = text.replace(",", ".") if self._mapping.decimal == "," else text
        try:
            return micros_of(plain)
        except ValueError as error:
            self._wrong(number, "price", "invalid", str(error))
            return 0

    def _moment(self, number: int, name: str, row: Mapping[str, str]) -> int | None:
        text = row.get(name, "")
        if not text:
            return None
        for pattern in (self._mapping.date,) if self._mapping.date else _DATES:
            try:
                return int(datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp() * 1000)
            except ValueError:
                continue
        self._wrong(number, name, "invalid", "is no date of the pattern; say it in mapping.date")
        return None


def _joined(given: Iterable[tuple[int, ListPrice]], troubles: list[FieldTrouble]) -> list[ListPrice]:
    """Rows of one code in order: an open end closes where the next begins; an overlap or a gap is a trouble."""
    by_code: dict[tuple[str, str], list[tuple[int, ListPrice]]] = {}
    for number, price in given:
        by_code.setdefault((price.kind, price.code), []).append((number, price))
    found = []
    for rows in by_code.values():
        rows.sort(key=lambda row: row[1].valid_from)
        for (first_row, first), (row, following) in pairwise(rows):
            if first.valid_from == following.valid_from:
                troubles.append(
                    FieldTrouble(f"row {row}", "twice", f"row {first_row} has a price for the same code and time")
                )
            elif first.valid_until is not None and first.valid_until > following.valid_from:
                troubles.append(FieldTrouble(f"row {row}", "overlap", f"begins before row {first_row} ends"))
            elif first.valid_until is not None and first.valid_until < following.valid_from:
                troubles.append(
                    FieldTrouble(f"row {row}", "gap", f"no price between the end of row {first_row} and this one")
                )
            found.append(first._replace(valid_until=following.valid_from))
        found.append(rows[-1][1])
    return found

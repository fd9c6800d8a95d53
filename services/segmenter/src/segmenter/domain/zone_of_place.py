"""The time zone of somebody whose number alone does not tell it: by the number's country, and by a place in the contact.

Of a country with several zones a place has the zone of a city that stands for one (tzdb's zone.tab) if it is close to it,
and no other zone's city is about as close. Elsewhere borders are not known here: then nothing is said, and the router's
rules for an unknown zone hold.
"""

from collections.abc import Iterable, Mapping
from math import asin, cos, radians, sin, sqrt
from typing import Any, Final, NamedTuple

from segmenter.domain.attributes import is_point

CLOSE: Final = 200 / 6371  # radians: 200 km on the ground
CLEARLY: Final = 1.5  # the second nearest city of another zone is at least this much further away


class City(NamedTuple):
    """A city that stands for its zone. Degrees, north and east positive."""

    country: str
    lat: float
    lon: float
    zone: str


def cities_of(table: str) -> dict[str, list[City]]:
    """By country (ISO 3166-1), from the text of tzdb's zone.tab: country, coordinates as ±DDMM±DDDMM or with seconds, zone."""
    found: dict[str, list[City]] = {}
    for line in table.splitlines():
        fields = line.split("\t")
        if len(fields) >= 3 and not line.startswith("#"):
            place = fields[1]
            cut = max(place.rfind("+"), place.rfind("-"))
            city = City(fields[0], _degrees(place[:cut], 2), _degrees(place[cut:], 3), fields[2])
            found.setdefault(city.country, []).append(city)
    return found


def zone_of(country: str, attributes: Mapping[str, Any], cities: Mapping[str, list[City]]) -> str | None:
    """The zone, or None where it is not clear."""
    known = cities.get(country, [])
    if len(known) == 1:
        return known[0].zone
    point = next((value for value in attributes.values() if is_point(value)), None)
    if not known or point is None:
        return None
    return _nearest(point["lat"], point["lon"], known)


def _nearest(lat: float, lon: float, cities: Iterable[City]) -> str | None:
    away = sorted((_angle(lat, lon, city.lat, city.lon), city.zone) for city in cities)
    return away[0][1] if away[0][0] <= CLOSE and away[1][0] >= CLEARLY * away[0][0] else None


def _angle(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Between two places, radians (haversine)."""
    north, east = radians(other_lat - lat), radians(other_lon - lon)
    half = sin(north / 2) ** 2 + cos(radians(lat)) * cos(radians(other_lat)) * sin(east / 2) ** 2
    return 2 * asin(min(1.0, sqrt(half)))


def _degrees(written: str, digits: int) -> float:
    sign = -1 if written[0] == "-" else 1
    whole, minutes, seconds = written[1 : 1 + digits], written[1 + digits : 3 + digits], written[3 + digits :]
    return sign * (int(whole) + int(minutes) / 60 + int(seconds or 0) / 3600)

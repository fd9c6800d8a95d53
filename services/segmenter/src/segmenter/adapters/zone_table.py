"""tzdb's table of zones, from where the machine keeps its zones. Without it zones come from numbers alone."""

from functools import lru_cache
from pathlib import Path
from zoneinfo import TZPATH

from segmenter.domain.zone_of_place import City, cities_of


@lru_cache(maxsize=1)
def cities() -> dict[str, list[City]]:
    for directory in TZPATH:
        table = Path(directory) / "zone.tab"
        if table.is_file():
            return cities_of(table.read_text("utf-8"))
    return {}

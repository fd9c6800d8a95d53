"""Reads the tables that come with the service."""

import json
from importlib.resources import files
from typing import Any

from router.domain.number_plan import Range, read_ranges


def seed_ranges() -> list[Range]:
    return read_ranges(files("router.data").joinpath("number_plan.csv").read_text("utf-8"))


def proposed_windows() -> dict[str, Any]:
    """Send windows to look at and then put: a proposal with its sources, never in force by itself."""
    found: dict[str, Any] = json.loads(files("router.data").joinpath("windows.json").read_text("utf-8"))
    return found

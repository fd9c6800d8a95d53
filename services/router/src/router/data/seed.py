"""Reads the tables that come with the service."""

from importlib.resources import files

from router.domain.number_plan import Range, read_ranges


def seed_ranges() -> list[Range]:
    return read_ranges(files("router.data").joinpath("number_plan.csv").read_text("utf-8"))

"""Starting a run: what its campaign is made of, looked up and fixed. Requests and the scheduler start runs alike."""

from typing import Any

import msgspec

from segmenter.adapters.audience import over_everybody
from segmenter.adapters.campaign_store import CampaignStore, RunKey
from segmenter.adapters.catalog import find_segment, find_template, load_segments
from segmenter.domain.compile_filter import compile_filter
from segmenter.domain.optimise import Optimise
from segmenter.domain.quiet import without_quiet
from segmenter.domain.schedule import Schedule
from segmenter.domain.variants import Variant

SCHEDULE = msgspec.json.Decoder(Schedule)
OPTIMISE = msgspec.json.Decoder(Optimise)
VARIANTS = msgspec.json.Decoder(list[Variant])


class MissingError(ValueError):
    """A campaign's ingredient is not there, or is for another purpose: `field` and a sentence."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field, self.code, self.detail = field, code, detail


async def ingredients(
    connection: Any, tenant: str, segment_id: str, templates: list[str], purpose: str
) -> tuple[Any, list[Any]]:
    """The rows of the segment and of the templates. MissingError."""
    segment = await find_segment(connection, tenant, segment_id)
    if segment is None:
        raise MissingError("segment", "unknown", "there is no such segment")
    found = []
    for template_id in templates:
        template = await find_template(connection, tenant, template_id)
        if template is None:
            raise MissingError("template", "unknown", f"there is no template {template_id}")
        if template["purpose"] != purpose:
            raise MissingError("purpose", "mismatch", f"template {template_id} is for {template['purpose']}")
        found.append(template)
    return segment, found


def variants_of(row: Any) -> list[Variant]:
    """A campaign's or a run's variants; none for a campaign of one text."""
    return VARIANTS.decode(row["variants"])


def schedule_of(row: Any) -> Schedule:
    return SCHEDULE.decode(row["schedule"]) if row["schedule"] else Schedule()


def optimise_of(row: Any) -> Optimise | None:
    return OPTIMISE.decode(row["optimise"]) if row["optimise"] else None


async def start(connection: Any, campaigns: CampaignStore, row: Any, now: int) -> RunKey:
    """Launches a locked campaign now. MissingError, FilterError."""
    tenant, variants = row["tenant_id"], variants_of(row)
    names = [v.template for v in variants] or [row["template"]]
    segment, templates = await ingredients(connection, tenant, row["segment"], names, row["purpose"])
    fixed = [
        msgspec.structs.replace(v, template_version=t["version"])
        for v, t in zip(variants, templates if variants else (), strict=True)
    ]
    tree = msgspec.json.decode(segment["filter"])
    condition = compile_filter(tree, now, first=10, segments=await load_segments(connection, tenant, tree))
    condition = without_quiet(condition, row["quiet_days"], now)
    await over_everybody(connection)
    return await campaigns.launch(
        connection, row, segment, templates[0], fixed, schedule_of(row), optimise_of(row), condition, now
    )

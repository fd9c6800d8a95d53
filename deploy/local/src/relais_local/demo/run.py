"""The demo: an audience through the public API, one campaign in two languages, and its report."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from relais_local.carriers_file import CarriersFile
from relais_local.demo.api import Api
from relais_local.demo.audience import batches, last_ref, make_audience
from relais_local.demo.campaign import SEGMENT, SEGMENT_ID, TEMPLATE, TEMPLATE_ID, campaign
from relais_local.demo.progress import Progress, has_ended, read_progress
from relais_local.demo.screen import Screen
from relais_local.errors import LocalStackError

POLL_S = 0.4
GIVE_UP_AFTER_S = 600.0


def refuse_real_carriers(carriers: CarriersFile) -> None:
    """The audience's numbers are valid, so some are somebody's: they must not leave this machine."""
    for carrier in carriers.carriers:
        if not carrier.simulated and carrier.host not in ("127.0.0.1", "localhost", "::1"):
            raise LocalStackError(
                f"Carrier {carrier.id} is on {carrier.host} and the demo's numbers may belong to people: "
                "use `make up` with this carriers file, or `make run` with carriers on this machine."
            )


async def run_demo(api_address: str, key: str, *, command_started_at: float, console: Console | None = None) -> None:
    """Load the audience where it is missing, launch a new campaign, follow it to its end and print its report.

    `command_started_at` is in seconds since the epoch: the first delivery is measured from there.
    """
    screen = Screen(console or Console())
    async with Api(api_address, key) as api:
        await _load_audience(api, screen)
        campaign_id = await _launch(api)
        screen.say(f"campaign {campaign_id} is launched")
        try:
            report = await _follow(api, campaign_id, screen, command_started_at)
        finally:
            screen.close()
        screen.report(campaign_id, report)


async def _load_audience(api: Api, screen: Screen) -> None:
    """The last contact is sent last of all: where it is, everything else is."""
    if await api.call("GET", f"/contacts/{last_ref()}", missing=True) is not None:
        screen.say("the demo audience is there")
        return
    begun = time.monotonic()
    audience = await asyncio.to_thread(make_audience, datetime.now(UTC))
    *contacts, last = audience.contacts
    await api.post_batches("/contacts/batch", "contacts", batches(contacts))
    of_last = [each for each in audience.consents if each["contact"] == last["ref"]]
    others = [each for each in audience.consents if each["contact"] != last["ref"]]
    await api.post_batches("/consents/batch", "consents", batches(others))
    await api.post_batches("/events/batch", "events", batches(audience.events))
    await api.call("POST", "/contacts/batch", {"contacts": [last]})
    if of_last:
        await api.call("POST", "/consents/batch", {"consents": of_last})
    screen.say(
        f"{len(audience.contacts):,} contacts, {len(audience.consents):,} consents and {len(audience.events):,} "
        f"purchases are loaded ({time.monotonic() - begun:.1f} s)"
    )


async def _launch(api: Api) -> str:
    campaign_id = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    await api.call("PUT", f"/segments/{SEGMENT_ID}", SEGMENT)
    await api.call("PUT", f"/templates/{TEMPLATE_ID}", TEMPLATE)
    await api.call("PUT", f"/campaigns/{campaign_id}", campaign(campaign_id.removeprefix("demo-")))
    await api.call("POST", f"/campaigns/{campaign_id}/launch")
    return campaign_id


async def _follow(api: Api, campaign_id: str, screen: Screen, command_started_at: float) -> dict[str, Any]:
    """Read the report again and again until the campaign has ended; the last one."""
    begun = time.monotonic()
    history: list[Progress] = []
    while True:
        report: dict[str, Any] = await api.call("GET", f"/campaigns/{campaign_id}/report", missing=True) or {}
        history.append(read_progress(report, time.monotonic() - begun))
        if history[-1].delivered and not any(each.delivered for each in history[:-1]):
            screen.say(f"first message delivered {time.time() - command_started_at:.1f} s after the command")
        screen.show(history, report)
        if has_ended(history):
            return report
        if history[-1].at > GIVE_UP_AFTER_S:
            screen.say(f"the campaign is not at its end after {GIVE_UP_AFTER_S:.0f} s; this is its report so far")
            return report
        await asyncio.sleep(POLL_S)

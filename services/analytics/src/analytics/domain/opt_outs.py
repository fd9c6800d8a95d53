"""Who opted out of marketing just now: consents are told whole, with a version, so only a move from in to out is one."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.contracts.events import ConsentChanged


class Stance(NamedTuple):
    version: int
    is_out: bool


def moved(
    known: Mapping[tuple[str, str], Stance], changed: Iterable[ConsentChanged]
) -> tuple[dict[tuple[str, str], Stance], list[ConsentChanged]]:
    """The stances that are new, by tenant and contact, and the records that were opt-outs. Repeats and older versions
    are neither."""
    now: dict[tuple[str, str], Stance] = {}
    outs = []
    for event in sorted(changed, key=lambda event: (event.tenant_id, event.contact_ref, event.version)):
        person = (event.tenant_id, event.contact_ref)
        before = now.get(person) or known.get(person) or Stance(-1, False)
        if event.version <= before.version:
            continue
        is_out = event.purposes.get("marketing") == "withdrawn"
        if is_out and not before.is_out:
            outs.append(event)
        now[person] = Stance(event.version, is_out)
    return now, outs

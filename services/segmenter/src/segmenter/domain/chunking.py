"""How an audience is cut and released, so that a run resumes with no gap and no double.

The audience is fixed at launch: chunk rows hold the refs, ordered by a keyed hash of the number. People who share a
number are in one chunk, where the second of them is a duplicate. Only some chunks of a run are on the topic at once:
tenants share the road chunk by chunk, and a pause acts at the next chunk.
"""

from collections.abc import Sequence
from typing import Final

CHUNK_NUMBERS: Final = 500  # numbers a chunk: about 40 ms of work, and what a crash repeats
RELEASED_AHEAD: Final = 16  # chunks of one run on the topic at once: enough for several replicas, 8,000 messages
STALE_AFTER_MS: Final = 300_000  # a released chunk that nobody finished is put on the topic again


def chunk_key(tenant: str, campaign: str, chunk: int) -> str:
    """Spreads a run's chunks over the partitions."""
    return f"{tenant}:{campaign}:{chunk}"


def chunk_event_id(campaign: str, run: str, chunk: int) -> str:
    return f"{campaign}:{run}:{chunk}:chunk"


def to_release(released: int) -> int:
    """How many more chunks go on the topic while `released` are there unfinished."""
    return max(0, RELEASED_AHEAD - released)


def first_of_each_number(people: Sequence[tuple[str, str]]) -> set[str]:
    """Of (ref, contact_id) pairs the refs that are written to: for each number the first by ref."""
    first: dict[str, str] = {}
    for ref, contact_id in people:
        held = first.get(contact_id)
        if held is None or ref < held:
            first[contact_id] = ref
    return set(first.values())

"""Who must not get marketing, as far as this connector knows: the followed topic, and STOPs of its own binds."""

from collections.abc import Iterable

from shared.contracts.events import ConsentChanged

STALE_S = 2.0  # promise 4: beyond this the picture may miss a STOP, and marketing waits
LOCAL_STOP_MS = 24 * 3_600_000  # a STOP of our own bind counts this long even if the topic never tells of it
OUT = frozenset({"withdrawn", "suppressed"})


class OptOuts:
    """Opt-outs only: memory grows with those, not with the contacts.

    An opt-out stays with the number (contact_id) and with the person (contact_ref); of several people with one
    number the strictest counts. Versions keep a replay of the topic from undoing what is newer.
    """

    def __init__(self) -> None:
        self._out: dict[str, dict[str, int]] = {}  # contact_id to the persons who opted out, with their version
        self._persons: dict[str, set[str]] = {}  # person to their contact_ids that are out
        self._stops: dict[str, int] = {}  # number_hash to when, in ms

    def apply(self, events: Iterable[ConsentChanged]) -> None:
        for event in events:
            person = f"{event.tenant_id}\x1f{event.contact_ref}"
            state = event.purposes.get("marketing")
            if state in OUT:
                if event.contact_id is not None:
                    persons = self._out.setdefault(event.contact_id, {})
                    persons[person] = max(event.version, persons.get(person, 0))
                    self._persons.setdefault(person, set()).add(event.contact_id)
            elif state == "granted":
                self._granted(person, event)

    def _granted(self, person: str, event: ConsentChanged) -> None:
        ids = self._persons.get(person, set())
        for contact_id in [i for i in ids if self._out[i][person] < event.version]:
            ids.discard(contact_id)
            persons = self._out[contact_id]
            del persons[person]
            if not persons:
                del self._out[contact_id]
        if not ids:
            self._persons.pop(person, None)
        if event.number_hash is not None and event.occurred_at > self._stops.get(event.number_hash, event.occurred_at):
            del self._stops[event.number_hash]

    def stop(self, number_hash: str, now_ms: int) -> None:
        """A handset said STOP on one of our binds: at once, whichever tenant it meant."""
        self._stops.pop(number_hash, None)
        self._stops[number_hash] = now_ms
        while self._stops:
            oldest = next(iter(self._stops))
            if self._stops[oldest] > now_ms - LOCAL_STOP_MS:
                break
            del self._stops[oldest]

    def start(self, number_hash: str) -> None:
        """A handset said START on one of our binds: what the topic says counts again."""
        self._stops.pop(number_hash, None)

    def is_out(self, contact_id: str, number_hash: str) -> bool:
        return contact_id in self._out or number_hash in self._stops

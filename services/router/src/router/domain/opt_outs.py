"""Who must not get marketing, from the consent topic: the numbers of those who are out, and nothing of the others."""

from collections.abc import Iterable

from shared.contracts.events import ConsentChanged

OUT = frozenset({"withdrawn", "suppressed"})


class OptOuts:
    """Opt-outs stay with the number and with the person, so either is enough to be out.

    Only those who are out are remembered: a stale `granted` can do harm to nobody else, and a repeated stale
    `withdrawn` lasts no longer than the repetition itself.
    """

    def __init__(self) -> None:
        self._persons: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}
        self._numbers: dict[str, int] = {}  # contact_id to how many persons with it are out

    def apply(self, events: Iterable[ConsentChanged]) -> list[str]:
        """Takes the events in; answers the contact ids that are out because of them."""
        newly = []
        for event in events:
            person = (event.tenant_id, event.contact_ref)
            known = self._persons.get(person)
            if known is not None and event.version < known[0]:
                continue
            if event.purposes.get("marketing") in OUT:
                numbers = known[1] if known else ()
                if event.contact_id is not None and event.contact_id not in numbers:
                    numbers = (*numbers, event.contact_id)
                    self._numbers[event.contact_id] = self._numbers.get(event.contact_id, 0) + 1
                    newly.append(event.contact_id)
                self._persons[person] = (event.version, numbers)
            elif known is not None:
                self._forget(known[1])
                del self._persons[person]
        return newly

    def _forget(self, numbers: Iterable[str]) -> None:
        for number in numbers:
            left = self._numbers[number] - 1
            if left:
                self._numbers[number] = left
            else:
                del self._numbers[number]

    def is_out(self, tenant: str, contact_id: str, contact_ref: str | None) -> bool:
        """contact_id is made of tenant and number, so it needs no tenant beside it."""
        return contact_id in self._numbers or (contact_ref is not None and (tenant, contact_ref) in self._persons)

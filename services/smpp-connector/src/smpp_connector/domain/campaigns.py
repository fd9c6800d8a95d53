"""Which campaigns are paused or cancelled."""

from collections.abc import Iterable

from shared.contracts.events import CampaignChanged

_HELD = frozenset({"paused", "cancelled"})


class Campaigns:
    def __init__(self) -> None:
        self._states: dict[tuple[str, str], tuple[int, str]] = {}

    def apply(self, events: Iterable[CampaignChanged]) -> None:
        for event in events:
            key = (event.tenant_id, event.campaign_id)
            known = self._states.get(key)
            if known is None or event.version >= known[0]:
                self._states[key] = (event.version, event.state)

    def state(self, tenant_id: str, campaign_id: str) -> str | None:
        """paused, cancelled, or None where its messages may go."""
        known = self._states.get((tenant_id, campaign_id))
        return known[1] if known is not None and known[1] in _HELD else None

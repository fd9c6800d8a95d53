"""Which campaigns are paused or cancelled, from their topic."""

from collections.abc import Iterable

from shared.contracts.events import CampaignChanged


class Campaigns:
    def __init__(self) -> None:
        self._states: dict[tuple[str, str], tuple[int, str]] = {}

    def apply(self, events: Iterable[CampaignChanged]) -> list[tuple[str, str]]:
        """Takes the events in; answers (tenant, campaign) of those whose waiting messages must be looked at again."""
        changed = []
        for event in events:
            key = (event.tenant_id, event.campaign_id)
            known = self._states.get(key)
            if known is not None and event.version < known[0]:
                continue
            self._states[key] = (event.version, event.state)
            if event.state != "paused" and (known is None or known[1] != event.state):
                changed.append(key)
        return changed

    def state(self, tenant: str, campaign_id: str) -> str:
        """`running` for one that nobody has told of: its messages exist, so it was launched."""
        found = self._states.get((tenant, campaign_id))
        return found[1] if found else "running"

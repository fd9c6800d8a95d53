"""What the SMSC has counted since its start."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    connections: int = 0
    binds: int = 0
    binds_refused: int = 0
    submits: int = 0
    """submit_sm received, whatever became of them."""
    accepted: int = 0
    """Submits that got an id."""
    responses: int = 0
    """submit_sm_resp written, refusals included."""
    throttled: int = 0
    refused: int = 0
    """Submits refused with another status than ESME_RTHROTTLED."""
    duplicates: int = 0
    """Accepted submits whose addresses, esm_class and octets equal those of an earlier accepted one."""
    left_unanswered: int = 0
    """Accepted on purpose without a response."""
    peak_unanswered: int = 0
    """The most submits that waited for a response on one bind at once; counts only where a response is delayed."""
    receipts_due: int = 0
    receipts_sent: int = 0
    receipts_acked: int = 0
    inbound_sent: int = 0
    inbound_acked: int = 0
    delivers_refused: int = 0
    """deliver_sm_resp with a status that forbids another attempt."""
    delivers_repeated: int = 0
    """deliver_sm put back into the queue: refused for now, timed out, or their link broke."""
    stray_responses: int = 0
    """deliver_sm_resp that match nothing outstanding."""
    malformed: int = 0
    acts: int = 0
    """Hostile acts performed from the script."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

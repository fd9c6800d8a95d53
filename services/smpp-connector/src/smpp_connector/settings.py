"""What one connector process is told from outside. The carrier's own facts come from the carriers file."""

from pathlib import Path

from pydantic import Field
from shared.settings import SealingSettings


class Settings(SealingSettings):
    """Times are seconds."""

    carrier_id: str
    carriers_file: Path
    bind_slots: int | None = Field(default=None, ge=1)
    """Binds this process may lease; None: all of the carrier's. With replicas, give each its share."""
    session_init_s: float = Field(default=10.0, gt=0)
    """From the connection to the answer of its bind."""
    response_timeout_s: float = Field(default=30.0, gt=0)
    """After this long without submit_sm_resp a message is unknown."""
    enquire_link_s: float = Field(default=15.0, gt=0)
    """Silence after which the link is asked whether it lives."""
    enquire_answer_s: float = Field(default=10.0, gt=0)
    """Silence after that question which ends the link: it was half-open."""
    down_limit_s: float = Field(default=10.0, ge=0)
    """Without any bind for this long, what waits goes back to the router."""
    commit_every_s: float = Field(default=0.2, gt=0)
    """How often finished offsets are committed."""
    claims_kept_days: int = Field(default=5, ge=4)
    """The submit topics keep 3 days and a redrive may be a day late: no repeat can come after that."""

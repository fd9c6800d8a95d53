"""What analytics must be told."""

import tempfile
from pathlib import Path

from pydantic import Field
from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    service_name: str = "analytics"
    # Faust writes here; nothing in it is needed after a restart, the changelog topic has it all.
    state_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "relais-analytics-quality")
    # Single messages are forgotten after this; a conversion or a receipt later than that changes nothing. Counters stay.
    keep_days: int = Field(default=35, ge=8)

"""What this service is told from outside."""

from pydantic import Field
from shared.settings import SealingSettings


class Settings(SealingSettings):
    segmenter_url: str
    router_url: str | None = None  # asked whose short codes are; without it a message to one is its last senders'
    callbacks_allow_loopback: bool = False  # for the local stack only: callbacks may then reach this machine
    retention_days: int = Field(default=35, ge=8, le=400)  # the ledger's days; receipts look back seven
    callbacks: bool = True  # whether this replica makes callbacks
    linger_ms: int = Field(default=200, ge=0, le=1000)  # a small batch waits this long for company
    gather_ms: int = Field(default=600, ge=0, le=2000)  # under load a batch is gathered that long
    # An acceptance is read so late that preparation has mostly told it already; one that got stuck shows after that.
    accepted_rest_ms: int = Field(default=10_000, ge=0, le=60_000)
    invalid_after: int = Field(
        default=3, ge=0, le=100
    )  # a number is suppressed after so many "no such number"; 0: never

"""A simulated SMSC, for tests and demonstrations: what a carrier does, on purpose and on demand."""

from console.smsc.config import (
    Account,
    Behaviour,
    Delay,
    Ids,
    Outcome,
    Receipts,
    SmscConfig,
    SubmitError,
    Throttle,
    Tls,
)
from console.smsc.read_script import library, load, read_script
from console.smsc.script import Script, ScriptError
from console.smsc.smsc import Smsc

__all__ = [
    "Account",
    "Behaviour",
    "Delay",
    "Ids",
    "Outcome",
    "Receipts",
    "Script",
    "ScriptError",
    "Smsc",
    "SmscConfig",
    "SubmitError",
    "Throttle",
    "Tls",
    "library",
    "load",
    "read_script",
]

"""A simulated SMSC, for tests and demonstrations: what a carrier does, on purpose and on demand."""

from console.smsc.config import Behaviour, Delay, Ids, Outcome, Receipts, SmscConfig, SubmitError, Throttle
from console.smsc.smsc import Smsc

__all__ = ["Behaviour", "Delay", "Ids", "Outcome", "Receipts", "Smsc", "SmscConfig", "SubmitError", "Throttle"]

"""Errors split by what whoever catches them must do."""


class RelaisError(Exception):
    """Root of the errors that Relais raises on purpose. The message is for a person: no number, no text."""


class RetryLaterError(RelaisError):
    """Something outside is away or busy: wait, with backoff, and do the same again."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s  # the outside's own wish, where it stated one


class PoisonError(RelaisError):
    """This record will never be handled: to the dead letters with it."""


class UndeclaredError(RelaisError):
    """A service used a topic that does not declare it: a mistake of ours, found by the first test that runs it."""


class SettingError(RelaisError):
    """A setting is missing or wrong; the process stops with this sentence."""

"""What may be done to a campaign in which state. Pure: states in, a state or a refusal out."""

from typing import Final, Literal

State = Literal["draft", "scheduled", "running", "paused", "cancelled", "completed"]
Verb = Literal["edit", "launch", "pause", "resume", "cancel"]

_MOVES: Final[dict[Verb, dict[str, State]]] = {
    "edit": {"draft": "draft", "completed": "draft", "cancelled": "draft"},
    "launch": {"draft": "running"},
    "pause": {
        "running": "paused",
        "paused": "paused",
        "completed": "paused",  # all are chosen, and many may still wait for their carrier
        "scheduled": "paused",  # the same of a recurring campaign between two runs
    },
    "resume": {"paused": "running", "running": "running"},
    "cancel": {
        "running": "cancelled",
        "paused": "cancelled",
        "cancelled": "cancelled",
        "draft": "cancelled",
        "scheduled": "cancelled",
        "completed": "cancelled",
    },
}


def after(verb: Verb, state: str) -> State | None:
    """The state that `verb` leads to; None when it may not be done now. Repeating a verb changes nothing.

    A campaign that has ended is launched again after an edit, so that nobody sends twice by pressing twice.
    """
    return _MOVES[verb].get(state)

"""A script as a value: what a hostile SMSC does, and when. `read_script` makes one, `Stage` performs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal

Who = Literal["the", "one", "every"]
"""`the` link on which something happened (every one if nothing did), `one` drawn by chance, or `every` bound one."""

Event = Literal["submit", "receipt", "bind"]


class Verb(Enum):
    """What an act does. Its sentence and meaning stand in `vocabulary`."""

    # To a submit and its response.
    ANSWER_STATUS = auto()
    THROTTLE_ABOVE = auto()
    ANSWER_NACK = auto()
    ANSWER_WITHOUT_ID = auto()
    ANSWER_OTHER_SEQUENCE = auto()
    ANSWER_TWICE = auto()
    ANSWER_LATE = auto()
    LOSE_RESPONSE = auto()
    REUSE_ID = auto()
    # To the receipt of a message.
    RECEIPT_FIRST = auto()
    RECEIPT_TWICE = auto()
    RECEIPT_LATE = auto()
    RECEIPT_ELSEWHERE = auto()
    RECEIPT_LOST = auto()
    ENROUTE_FIRST = auto()
    # To links.
    CUT = auto()
    CUT_IN_PDU = auto()
    CUT_IN_RESPONSE = auto()
    CUT_IN_RECEIPT = auto()
    CLOSE = auto()
    UNBIND = auto()
    HALF_OPEN = auto()
    STOP_READING = auto()
    SEND_GARBAGE = auto()
    SEND_CLAIM_MORE = auto()
    SEND_CLAIM_FEWER = auto()
    SEND_CLAIM = auto()
    SEND_OVERSIZED = auto()
    SEND_UNKNOWN_COMMAND = auto()
    SEND_TRUNCATED = auto()
    SEND_LONG_PARAMETER = auto()
    SEND_STRAY_RESPONSE = auto()
    SEND_STRAY_RECEIPT = auto()
    # To the whole SMSC.
    REFUSE_BIND = auto()
    REFUSE_CONNECTIONS = auto()
    IGNORE_ENQUIRIES = auto()
    HOLD_RESPONSES = auto()
    REVERSE_RECEIPTS = auto()
    HANDSETS_SEND = auto()


@dataclass(frozen=True, slots=True)
class Act:
    verb: Verb
    sentence: str
    """As written, for the list of acts performed."""
    lasts: float | None = None
    """Seconds; infinite from now on; None: once, to what triggered it or to the next of its kind."""
    who: Who = "the"
    status: int = 0
    with_body: bool = False
    """Whether a refusal carries an empty message_id, where the specification wants no body."""
    seconds: float = 0.0
    count: int = 0
    rate: float = 0.0
    text: str = ""
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class FromTheStart:
    """In force before the first connection."""


@dataclass(frozen=True, slots=True)
class Counted:
    """At the `count`-th event of the whole SMSC, and if it `repeats` at every further `count`-th."""

    event: Event
    count: int
    repeats: bool


@dataclass(frozen=True, slots=True)
class ByChance:
    """For a `share` (0 to 1) of events, each drawn on its own from the seed."""

    event: Event
    share: float


@dataclass(frozen=True, slots=True)
class Timed:
    """That long, in seconds, after the first bind request, and if it `repeats` again and again."""

    seconds: float
    repeats: bool


Trigger = FromTheStart | Counted | ByChance | Timed


@dataclass(frozen=True, slots=True)
class Rule:
    trigger: Trigger
    act: Act
    at_most: int | None
    """How often it may fire; None: without end."""
    line: int


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    about: str = ""
    seed: int | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `SmscConfig`, those of its behaviour under `behaviour`."""
    hour_takes: float = 3600.0
    """Real seconds in which an hour passes for receipts: for their delays and for the dates in them."""
    rules: tuple[Rule, ...] = ()


class ScriptError(ValueError):
    """A script, or one sentence of it, that cannot be understood. `remedy` says what to write instead."""

    def __init__(self, what: str, remedy: str, line: int | None = None) -> None:
        super().__init__(f"{'' if line is None else f'line {line}: '}{what}: {remedy}")
        self.what = what
        self.remedy = remedy
        self.line = line

    def at(self, line: int) -> "ScriptError":
        """The same fault with the line of the file where it stands."""
        return ScriptError(self.what, self.remedy, line)

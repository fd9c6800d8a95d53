"""The sentences that a script may use: one row an act, with what it means. The README's table says the same.

Pure: text in, `Act` or `Trigger` out, or a `ScriptError` that names a remedy.
"""

import re
from dataclasses import replace
from difflib import get_close_matches
from typing import NamedTuple

from console.smsc.command_status import status_number
from console.smsc.pdu import ESME_RBINDFAIL, ESME_RMSGQFUL, ESME_RTHROTTLED
from console.smsc.script import Act, ByChance, Counted, Event, FromTheStart, ScriptError, Timed, Trigger, Verb, Who

_NUMBER = r"\d+(?:\.\d+)?"
DURATION = rf"{_NUMBER} ?(?:ms|s|seconds?|min|minutes?|h|hours?|days?)"
_DURATION = re.compile(rf"({_NUMBER}) ?([a-z]+)")
_SECONDS = {"ms": 0.001, "s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86400}
_LINK = r"(?P<who>the|one|every) link"
_TO_LINK = rf"(?: to {_LINK})?"
_EVENTS: dict[str, Event] = {
    "submit": "submit",
    "submits": "submit",
    "receipt": "receipt",
    "receipts": "receipt",
    "bind": "bind",
    "binds": "bind",
}

EARLY_BY_S = 0.05  # the response follows a receipt that overtakes it after this long, so that no bind can reorder them
_GARBAGE_OCTETS = 64

# How long an act may be told to last.
_ONCE, _MAY_LAST, _LASTS = "once", "may last", "lasts"


class Phrase(NamedTuple):
    pattern: re.Pattern[str]
    verb: Verb
    lasting: str
    says: str
    means: str
    status: int = 0


def _phrase(pattern: str, verb: Verb, lasting: str, says: str, means: str, status: int = 0) -> Phrase:
    return Phrase(re.compile(pattern), verb, lasting, says, means, status)


_STATUS = r"(?P<status>ESME_\w+|0x[0-9A-Fa-f]+|\d+)"
_D = rf"(?P<seconds>{DURATION})"

PHRASES: tuple[Phrase, ...] = (
    _phrase(r"throttle", Verb.ANSWER_STATUS, _MAY_LAST, "throttle", "refuse with ESME_RTHROTTLED", ESME_RTHROTTLED),
    _phrase(
        rf"throttle above (?P<rate>{_NUMBER}) a second",
        Verb.THROTTLE_ABOVE,
        _LASTS,
        "throttle above 50 a second",
        "refuse with ESME_RTHROTTLED what exceeds the rate; a tenth of a second's worth may come at once",
    ),
    _phrase(
        r"report a full queue",
        Verb.ANSWER_STATUS,
        _MAY_LAST,
        "report a full queue",
        "refuse with ESME_RMSGQFUL",
        ESME_RMSGQFUL,
    ),
    _phrase(
        rf"answer with {_STATUS}(?P<body> with a body| without a body)?",
        Verb.ANSWER_STATUS,
        _MAY_LAST,
        "answer with ESME_RSYSERR without a body",
        "refuse so; `with a body` adds an empty message_id, which the specification forbids",
    ),
    _phrase(
        r"answer with generic_nack", Verb.ANSWER_NACK, _MAY_LAST, "answer with generic_nack", "refuse, ESME_RSYSERR"
    ),
    _phrase(
        r"answer without an id",
        Verb.ANSWER_WITHOUT_ID,
        _MAY_LAST,
        "answer without an id",
        "take it; the response is a bare header with status 0",
    ),
    _phrase(
        r"answer with another sequence number",
        Verb.ANSWER_OTHER_SEQUENCE,
        _MAY_LAST,
        "answer with another sequence number",
        "take it; the response belongs to no submit",
    ),
    _phrase(r"answer twice", Verb.ANSWER_TWICE, _MAY_LAST, "answer twice", "take it; the response comes twice"),
    _phrase(rf"answer {_D} late", Verb.ANSWER_LATE, _MAY_LAST, "answer 12 s late", "on top of the latency"),
    _phrase(
        r"lose the responses?",
        Verb.LOSE_RESPONSE,
        _MAY_LAST,
        "lose the response",
        "take it and report on it, never answer it",
    ),
    _phrase(
        r"reuse an id",
        Verb.REUSE_ID,
        _MAY_LAST,
        "reuse an id",
        "give it the id of one of the 100 messages before it",
    ),
    _phrase(
        rf"send the receipts? (?:{_D} )?before the responses?",
        Verb.RECEIPT_FIRST,
        _MAY_LAST,
        "send the receipt before the response",
        "the receipt at once, the response 50 ms after its latency; or name the time: `200 ms before`",
    ),
    _phrase(r"send the receipts? twice", Verb.RECEIPT_TWICE, _MAY_LAST, "send the receipt twice", "two deliver_sm"),
    _phrase(
        rf"send the receipts? {_D} late",
        Verb.RECEIPT_LATE,
        _MAY_LAST,
        "send the receipt 3 hours late",
        "by the clock of receipts: see `an hour takes`",
    ),
    _phrase(
        r"send the receipts? on another bind",
        Verb.RECEIPT_ELSEWHERE,
        _MAY_LAST,
        "send the receipt on another bind",
        "than its submit came on; it waits until there is one",
    ),
    _phrase(r"lose the receipts?", Verb.RECEIPT_LOST, _MAY_LAST, "lose the receipt", "it is never sent"),
    _phrase(
        r"report ENROUTE first",
        Verb.ENROUTE_FIRST,
        _MAY_LAST,
        "report ENROUTE first",
        "an intermediate receipt at once, the final one in its time",
    ),
    _phrase(rf"cut {_LINK}", Verb.CUT, _ONCE, "cut the link", "without unbind, what was to be written is lost"),
    _phrase(
        rf"cut {_LINK} in mid-PDU",
        Verb.CUT_IN_PDU,
        _ONCE,
        "cut the link in mid-PDU",
        "in whichever PDU is written next, at an octet drawn by chance",
    ),
    _phrase(
        rf"cut {_LINK} in mid-response",
        Verb.CUT_IN_RESPONSE,
        _ONCE,
        "cut the link in mid-response",
        "in this submit's response, or in the next one",
    ),
    _phrase(
        rf"cut {_LINK} in mid-receipt",
        Verb.CUT_IN_RECEIPT,
        _ONCE,
        "cut the link in mid-receipt",
        "in the next deliver_sm",
    ),
    _phrase(rf"close {_LINK}", Verb.CLOSE, _ONCE, "close the link", "without unbind, after what is written"),
    _phrase(rf"unbind(?: {_LINK})?", Verb.UNBIND, _ONCE, "unbind the link", "as the SMSC may at any time"),
    _phrase(
        rf"leave {_LINK} half-open",
        Verb.HALF_OPEN,
        _ONCE,
        "leave the link half-open",
        "the connection stands, nothing is heeded or written again; the bind counts until the ESME hangs up",
    ),
    _phrase(
        rf"stop reading(?: from {_LINK})?",
        Verb.STOP_READING,
        _LASTS,
        "stop reading from the link",
        "what the ESME writes fills the buffers between",
    ),
    _phrase(
        rf"send garbage(?: of (?P<count>\d+) octets)?{_TO_LINK}",
        Verb.SEND_GARBAGE,
        _ONCE,
        "send garbage of 64 octets",
        "octets drawn by chance",
    ),
    _phrase(
        rf"send a PDU that claims more octets than it has{_TO_LINK}",
        Verb.SEND_CLAIM_MORE,
        _ONCE,
        "send a PDU that claims more octets than it has",
        "it swallows the beginning of the next one",
    ),
    _phrase(
        rf"send a PDU that claims fewer octets than it has{_TO_LINK}",
        Verb.SEND_CLAIM_FEWER,
        _ONCE,
        "send a PDU that claims fewer octets than it has",
        "its end is read as a header",
    ),
    _phrase(
        rf"send a PDU that claims (?P<count>\d+) octets{_TO_LINK}",
        Verb.SEND_CLAIM,
        _ONCE,
        "send a PDU that claims 4294967295 octets",
        "a header alone; below 16 it cannot even hold itself",
    ),
    _phrase(
        rf"send a PDU of (?P<count>\d+) octets{_TO_LINK}",
        Verb.SEND_OVERSIZED,
        _ONCE,
        "send a PDU of 200000 octets",
        "all of them really come",
    ),
    _phrase(
        rf"send an unknown command{_TO_LINK}", Verb.SEND_UNKNOWN_COMMAND, _ONCE, "send an unknown command", "0x0000A5A5"
    ),
    _phrase(
        rf"send a truncated PDU{_TO_LINK}",
        Verb.SEND_TRUNCATED,
        _ONCE,
        "send a truncated PDU",
        "a deliver_sm that ends within its destination, its length true",
    ),
    _phrase(
        rf"send a parameter that runs past its PDU{_TO_LINK}",
        Verb.SEND_LONG_PARAMETER,
        _ONCE,
        "send a parameter that runs past its PDU",
        "in a deliver_sm that is right up to there",
    ),
    _phrase(
        rf"send a response to nothing{_TO_LINK}",
        Verb.SEND_STRAY_RESPONSE,
        _ONCE,
        "send a response to nothing",
        "submit_sm_resp with a sequence number never used",
    ),
    _phrase(
        rf"send a receipt for an unknown id{_TO_LINK}",
        Verb.SEND_STRAY_RECEIPT,
        _ONCE,
        "send a receipt for an unknown id",
        "well-formed, of a message that never was",
    ),
    _phrase(
        rf"refuse the bind(?: with {_STATUS})?",
        Verb.REFUSE_BIND,
        _ONCE,
        "refuse the bind with ESME_RBINDFAIL",
        "this one, or the next",
        ESME_RBINDFAIL,
    ),
    _phrase(
        rf"refuse binds(?: with {_STATUS})?",
        Verb.REFUSE_BIND,
        _LASTS,
        "refuse binds with ESME_RBINDFAIL",
        "every one",
        ESME_RBINDFAIL,
    ),
    _phrase(
        r"refuse connections", Verb.REFUSE_CONNECTIONS, _LASTS, "refuse connections", "standing links are left alone"
    ),
    _phrase(
        r"leave enquire_link unanswered",
        Verb.IGNORE_ENQUIRIES,
        _LASTS,
        "leave enquire_link unanswered",
        "all else goes on",
    ),
    _phrase(
        r"hold the responses",
        Verb.HOLD_RESPONSES,
        _LASTS,
        "hold the responses",
        "then write all of them at once",
    ),
    _phrase(
        r"send the receipts in reverse, (?P<count>\d+) at a time",
        Verb.REVERSE_RECEIPTS,
        _LASTS,
        "send the receipts in reverse, 10 at a time",
        "fewer go out when a second has passed",
    ),
    _phrase(
        rf"let (?P<count>\d+) handsets send (?P<text>\"[^\"]+\"|\S+)(?: to (?P<sender>\S+))? within {_D}",
        Verb.HANDSETS_SEND,
        _ONCE,
        "let 500 handsets send STOP within 2 s",
        "those that got the latest messages, to the senders they know; invented ones, to 36180, if there are too few",
    ),
)

_TRIGGER_REMEDY = (
    "write `from: the start`, `after: 500 submits`, `every: 2 s`, or `for: 5 % of receipts`; "
    "what can be counted are submits, receipts, binds and time"
)


def seconds(written: str) -> float | None:
    """The seconds in `200 ms`, `1.5 s`, `3 hours`; None if it is no duration."""
    match = _DURATION.fullmatch(written.strip())
    unit = match and match[2].removesuffix("s" if len(match[2]) > 2 else "")
    return float(match[1]) * _SECONDS[unit] if match and unit in _SECONDS else None


def read_act(sentence: str) -> Act:
    """The act that a sentence such as `throttle for 1 s` names. Raises ScriptError."""
    sentence = " ".join(sentence.split())
    plain, lasts = sentence, None
    if timed := re.fullmatch(rf"(.+) for ({DURATION})", sentence):
        plain, lasts = timed[1], seconds(timed[2])
    for phrase in PHRASES:
        if match := phrase.pattern.fullmatch(plain):
            if lasts is not None and phrase.lasting == _ONCE:
                raise ScriptError(f"`{sentence}` happens once", "leave out `for ...`, or repeat it with `every: ...`")
            if lasts is None and phrase.lasting == _LASTS:
                lasts = float("inf")
            return _act(phrase, sentence, lasts, match)
    known = [phrase.says for phrase in PHRASES]
    near = get_close_matches(plain, known, n=1, cutoff=0.5)
    remedy = f"did you mean `{near[0]}`?" if near else "the acts are listed in services/console/README.md"
    raise ScriptError(f"`{sentence}` is no act", remedy)


def _act(phrase: Phrase, sentence: str, lasts: float | None, match: re.Match[str]) -> Act:
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    status = phrase.status
    if "status" in found:
        number = status_number(found["status"])
        if number is None:
            raise ScriptError(
                f"`{found['status']}` is no command_status", "write a name of SMPP 3.4 such as ESME_RMSGQFUL, or 0x14"
            )
        status = number
    count = int(found["count"]) if "count" in found else _GARBAGE_OCTETS
    _check_count(phrase.verb, count)
    rate = float(found.get("rate", 0))
    if phrase.verb is Verb.THROTTLE_ABOVE and not rate:
        raise ScriptError("a rate of 0 throttles everything", "write `throttle`")
    who: Who = "one" if found.get("who") == "one" else "every" if found.get("who") == "every" else "the"
    return Act(
        verb=phrase.verb,
        sentence=sentence,
        lasts=lasts,
        who=who,
        status=status,
        with_body=found.get("body") == " with a body",
        seconds=(seconds(found["seconds"]) or 0.0) if "seconds" in found else EARLY_BY_S,
        count=count,
        rate=rate,
        text=found.get("text", "").strip('"'),
        sender=found.get("sender"),
    )


def _check_count(verb: Verb, count: int) -> None:
    low, high = {
        Verb.SEND_CLAIM: (0, 0xFFFFFFFF),
        Verb.SEND_OVERSIZED: (64, 64_000_000),
        Verb.SEND_GARBAGE: (1, 64_000_000),
        Verb.REVERSE_RECEIPTS: (2, 100_000),
        Verb.HANDSETS_SEND: (1, 1_000_000),
    }.get(verb, (0, 0xFFFFFFFF))
    if not low <= count <= high:
        raise ScriptError(f"{count} is out of bounds", f"write a number from {low} to {high}")


def read_trigger(key: str, value: str) -> Trigger:
    """The trigger in `after: 500 submits` and the like. Raises ScriptError."""
    value = " ".join(value.split())
    if key == "from" and value == "the start":
        return FromTheStart()
    if key in ("after", "every"):
        repeats = key == "every"
        if (duration := seconds(value)) is not None:
            if repeats and duration < 0.001:
                raise ScriptError(f"`every: {value}` is too often", "write at least `every: 1 ms`")
            return Timed(duration, repeats)
        if counted := re.fullmatch(r"(?:(\d+) )?([a-z]+)", value):
            event = _EVENTS.get(counted[2])
            count = int(counted[1] or 1)
            if event and count:
                return Counted(event, count, repeats)
    if (
        key == "for"
        and (share := re.fullmatch(rf"({_NUMBER}) ?% of (?:the )?([a-z]+)", value))
        and (event := _EVENTS.get(share[2]))
    ):
        if not 0 < float(share[1]) <= 100:
            raise ScriptError(f"`for: {value}` is no share", "write more than 0 and at most 100 %")
        return ByChance(event, float(share[1]) / 100)
    raise ScriptError(f"`{key}: {value}` is no occasion", _TRIGGER_REMEDY)


def check_together(trigger: Trigger, act: Act) -> Act:
    """The act as it is under this trigger. Raises ScriptError if the two make no sense together."""
    if not isinstance(trigger, FromTheStart) or act.lasts is not None:
        return act
    phrase = next(one for one in PHRASES if one.verb is act.verb)
    if phrase.lasting == _ONCE:
        raise ScriptError(f"`{act.sentence}` cannot be in force from the start", "give it an occasion: `after: 1 bind`")
    return replace(act, lasts=float("inf"))

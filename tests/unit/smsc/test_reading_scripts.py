"""The sentences of scripts: what is understood, and what is said of what is not."""

from pathlib import Path

import pytest
from console.smsc import ScriptError, SmscConfig, read_script
from console.smsc.read_script import applied, load
from console.smsc.script import ByChance, Counted, FromTheStart, Timed, Verb
from console.smsc.vocabulary import PHRASES, read_act, read_trigger, seconds
from hypothesis import example, given
from hypothesis import strategies as st
from unit.smsc.conftest import PROMPT

README = Path(__file__).parents[3] / "services/console/README.md"


def script(*lines: str) -> str:
    return "\n".join(("name: a carrier", *lines))


def test_the_example_of_the_documentation_is_understood():
    read = read_script(
        script(
            "given: {latency: {median: 0.02, p99: 0.2}}",
            "when:",
            "  - after: 500 submits",
            "    do: cut the link in mid-PDU",
            "  - every: 2 s",
            "    do: throttle for 1 s",
            "    at most: 3 times",
        )
    )
    first, second = read.rules
    assert read.given == {"behaviour": {"latency": {"median": 0.02, "p99": 0.2}}}
    assert (first.trigger, first.act.verb, first.line) == (Counted("submit", 500, False), Verb.CUT_IN_PDU, 4)
    assert (second.trigger, second.act.verb, second.act.status, second.act.lasts, second.at_most) == (
        Timed(2.0, True),
        Verb.ANSWER_STATUS,
        0x58,
        1.0,
        3,
    )


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.says)
def test_every_act_is_understood_as_its_own_table_says_it(phrase):
    assert read_act(phrase.says).verb is phrase.verb
    assert phrase.means


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.says)
def test_every_act_stands_in_the_documentation(phrase):
    assert f"`{phrase.says}`" in README.read_text("utf-8")


def test_every_verb_has_a_sentence():
    assert {phrase.verb for phrase in PHRASES} == set(Verb)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("answer with 0x45 for 2 min", {"verb": Verb.ANSWER_STATUS, "status": 0x45, "lasts": 120.0}),
        ("answer with ESME_RSUBMITFAIL with a body", {"status": 0x45, "with_body": True, "lasts": None}),
        ("send the receipts 2 days late", {"verb": Verb.RECEIPT_LATE, "seconds": 172_800.0}),
        ("send the receipt 200 ms before the response", {"verb": Verb.RECEIPT_FIRST, "seconds": 0.2}),
        ("cut one link in mid-receipt", {"verb": Verb.CUT_IN_RECEIPT, "who": "one"}),
        ("unbind", {"verb": Verb.UNBIND, "who": "the"}),
        ("unbind every link", {"verb": Verb.UNBIND, "who": "every"}),
        ("stop reading from one link for 1.5 s", {"verb": Verb.STOP_READING, "who": "one", "lasts": 1.5}),
        ("refuse binds", {"verb": Verb.REFUSE_BIND, "status": 0x0D, "lasts": float("inf")}),
        ("refuse the bind with ESME_RALYBND", {"verb": Verb.REFUSE_BIND, "status": 0x05, "lasts": None}),
        ("send a PDU that claims 7 octets to every link", {"verb": Verb.SEND_CLAIM, "count": 7, "who": "every"}),
        ("throttle above  0.5 a second", {"verb": Verb.THROTTLE_ABOVE, "rate": 0.5}),
        (
            'let 3 handsets send "please stop" to 38080 within 1 min',
            {"verb": Verb.HANDSETS_SEND, "count": 3, "text": "please stop", "sender": "38080", "seconds": 60.0},
        ),
    ],
)
def test_the_parts_of_an_act_are_read(sentence, expected):
    act = read_act(sentence)
    assert {name: getattr(act, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("from", "the start", FromTheStart()),
        ("after", "1 bind", Counted("bind", 1, False)),
        ("every", "submit", Counted("submit", 1, True)),
        ("every", "10 receipts", Counted("receipt", 10, True)),
        ("after", "3 min", Timed(180.0, False)),
        ("for", "2.5 % of submits", ByChance("submit", 0.025)),
        ("for", "100% of the receipts", ByChance("receipt", 1.0)),
    ],
)
def test_occasions_are_read(key, value, expected):
    assert read_trigger(key, value) == expected


@given(st.sampled_from([("ms", 0.001), ("s", 1), ("min", 60), ("h", 3600)]), st.integers(0, 10_000))
def test_a_duration_is_its_number_times_its_unit(unit, amount):
    assert seconds(f"{amount} {unit[0]}") == seconds(f"{amount}{unit[0]}") == pytest.approx(amount * unit[1])


def fault(read, text):
    """The ScriptError that reading raises, if it does."""
    try:
        read(text)
    except ScriptError as error:
        return error
    return None


@given(st.text(max_size=60) | st.sampled_from([phrase.says + " x" for phrase in PHRASES]))
def test_any_text_as_an_act_is_an_act_or_an_error_with_a_remedy(text):
    error = fault(read_act, text)
    assert error is None or error.remedy


PIECES = [
    "name: x",
    "given:",
    "when:",
    "  latency: 5",
    "  - after: 2 s",
    "    do: throttle",
    "{",
    "&a",
    "*a",
    "- ",
    ": ",
]


@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=8).map("\n".join))
@example("name: x\ngiven: &a {ids: *a}")
@example("name: x\nwhen: &a [*a]")
@example("name: [x]")
@example("name: x\n? [1, 2]\n: 3")
def test_any_text_as_a_script_is_a_script_or_an_error_with_a_line_and_a_remedy(text):
    error = fault(read_script, text)
    assert error is None or (error.line and error.remedy)


@pytest.mark.parametrize(
    ("lines", "line", "what", "remedy"),
    [
        (["when:", "  - after: 5 submits", "    do: explode"], 4, "`explode` is no act", "README"),
        (["when:", "  - after: 5 submits", "    do: cut link in mid-PDU"], 4, "is no act", "`cut the link in mid-PDU`"),
        (["when:", "  - after: 5 moons", "    do: throttle"], 3, "`after: 5 moons` is no occasion", "after: 500 sub"),
        (["when:", "  - after: 5", "    do: throttle"], 3, "is no occasion", "after: 500 submits"),
        (["when:", "  - every: 0 s", "    do: throttle"], 3, "too often", "1 ms"),
        (["when:", "  - for: 0 % of submits", "    do: throttle"], 3, "no share", "100 %"),
        (["when:", "  - after: 5 submits"], 3, "nothing is to be done", "`do: `"),
        (["when:", "  - do: throttle"], 3, "0 occasions", "from, after, every, for"),
        (["when:", "  - {after: 1 s, every: 1 s, do: throttle}"], 3, "2 occasions", "one of"),
        (["when:", "  - {after: 1 s, do: unbind for 2 s}"], 3, "happens once", "leave out"),
        (["when:", "  - {from: the start, do: cut the link}"], 3, "from the start", "after: 1 bind"),
        (["when:", "  - {after: 1 s, do: answer with ESME_RNICE}"], 3, "no command_status", "ESME_RMSGQFUL"),
        (["when:", "  - {after: 1 s, do: send a PDU of 10 octets}"], 3, "out of bounds", "from 64"),
        (["when:", "  - {after: 1 s, do: throttle above 0 a second}"], 3, "throttles everything", "`throttle`"),
        (["when:", "  - {after: 1 s, do: throttle, at most: a few}"], 3, "no number of times", "3 times"),
        (["when: later"], 2, "no list", "dash"),
        (["whenever: []"], 2, "`whenever` means nothing", "name, about, seed, given, when"),
        (["name: again"], 2, "twice", "keep one"),
        (["given:", "  latency: {median: 2, p99: 1}"], 3, "`latency` does not hold", "README"),
        (["given:", "  # why", "  patience: 3"], 4, "`patience` cannot be given", "latency"),
        (["given:", "  ids: {response: roman}"], 3, "`ids.response` does not hold", "README"),
        (["given:", "  an hour takes: long"], 3, "needs a duration", "an hour takes: 1 s"),
        (["given: [", "  x"], 3, "not YAML", "quotes"),
        (["seed: blue"], 2, "no whole number", "seed: 7"),
    ],
)
def test_a_fault_is_told_with_its_line_and_its_remedy(lines, line, what, remedy):
    with pytest.raises(ScriptError) as caught:
        read_script(script(*lines))
    assert caught.value.line == line
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize("text", ["", "- 1", "just words", "when: []"])
def test_what_is_no_script_or_has_no_name_is_refused(text):
    with pytest.raises(ScriptError):
        read_script(text)


def test_an_unknown_name_is_refused_with_where_to_look():
    with pytest.raises(ScriptError, match="--scripts"):
        load("no_such_script")


def test_what_a_script_gives_goes_over_the_configuration_and_leaves_the_rest():
    config = SmscConfig(
        system_id="relais", password="secret", behaviour=PROMPT.changed({"latency": 3}), ids={"first": 5}, max_binds=2
    )
    read = read_script(
        script(
            "seed: 9",
            "given:",
            "  deliver_timeout_s: 5 s",
            "  ids: {response: decimal}",
            "  latency: 20 ms",
            "  errors: [{status: ESME_RMSGQFUL, share: 0.5}]",
        )
    )
    merged = applied(config, read)
    assert (merged.seed, merged.max_binds, merged.deliver_timeout_s) == (9, 2, 5.0)
    assert (merged.ids.first, merged.ids.response) == (5, "decimal")
    assert merged.behaviour.latency.constant == 0.02
    assert merged.behaviour.errors[0].status == 0x14
    assert merged.behaviour.outcomes == PROMPT.outcomes
    assert applied(config.model_copy(update={"seed": 1}), read).seed == 1

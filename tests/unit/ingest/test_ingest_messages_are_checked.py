import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.faults import Fault
from ingest.domain.message_request import SHAPES, TEXT_CHARACTERS, VARIABLES_BYTES, Checked, check_message, moment_of

NOW = 1_750_000_000_000  # 2025-06-15T15:06:40Z
NUMBER = "+33612345678"
GOOD = {"to": NUMBER, "class": "otp", "text": "hello"}


def check(message: object, *, loopback: bool = False) -> Checked | list[Fault]:
    return check_message(msgspec.json.encode(message), NOW, loopback=loopback)


def without(name: str) -> dict[str, object]:
    return {k: v for k, v in GOOD.items() if k != name}


WRONG = [
    ("a number without plus", {**GOOD, "to": "33612345678"}, "to", "not_e164"),
    ("a number with letters", {**GOOD, "to": "+33612AB5678"}, "to", "not_e164"),
    ("a number of seven digits", {**GOOD, "to": "+3361234"}, "to", "not_e164"),
    ("a number of sixteen digits", {**GOOD, "to": "+3361234567890123"}, "to", "not_e164"),
    ("a country code of nought", {**GOOD, "to": "+03612345678"}, "to", "not_e164"),
    ("a number and a line end", {**GOOD, "to": NUMBER + "\n"}, "to", "not_e164"),
    ("digits of another script", {**GOOD, "to": "+٣٣٦١٢٣٤٥٦٧٨"}, "to", "not_e164"),
    ("a number that is a number", {**GOOD, "to": 33612345678}, "to", "wrong_type"),
    ("no number", without("to"), "to", "missing"),
    ("a null number", {**GOOD, "to": None}, "to", "missing"),
    ("an unknown class", {**GOOD, "class": "spam"}, "class", "unknown_class"),
    ("no class", without("class"), "class", "missing"),
    ("no text", without("text"), "text", "missing"),
    ("an empty text", {**GOOD, "text": " \n"}, "text", "empty"),
    ("too long a text", {**GOOD, "text": "x" * (TEXT_CHARACTERS + 1)}, "text", "too_long"),
    ("a text with U+0000", {**GOOD, "text": "a\x00b"}, "text", "bad_character"),
    ("text and template", {**GOOD, "template": "t"}, "template", "excluded"),
    ("text and variables", {**GOOD, "variables": {}}, "variables", "excluded"),
    ("a template's id with a slash", {**without("text"), "template": "a/b"}, "template", "bad_id"),
    ("variables that are a list", {**without("text"), "template": "t", "variables": []}, "variables", "wrong_type"),
    (
        "too many variables",
        {**without("text"), "template": "t", "variables": {"a": "x" * VARIABLES_BYTES}},
        "variables",
        "too_large",
    ),
    ("a sender of twelve letters", {**GOOD, "from": "ABCDEFGHIJKL"}, "from", "bad_sender"),
    ("a sender of two digits", {**GOOD, "from": "12"}, "from", "bad_sender"),
    ("an empty reference", {**GOOD, "client_ref": ""}, "client_ref", "bad_length"),
    ("a reference with a line end", {**GOOD, "client_ref": "a\nb"}, "client_ref", "bad_character"),
    ("a callback over http", {**GOOD, "callback_url": "http://example.com/"}, "callback_url", "bad_url"),
    ("a callback with a password", {**GOOD, "callback_url": "https://u:p@example.com/"}, "callback_url", "bad_url"),
    ("a callback that is no URL", {**GOOD, "callback_url": "example.com"}, "callback_url", "bad_url"),
    ("a callback with a bad port", {**GOOD, "callback_url": "https://example.com:99999/"}, "callback_url", "bad_url"),
    ("a moment without its offset", {**GOOD, "send_at": "2025-06-15T16:00:00"}, "send_at", "not_rfc3339"),
    ("a day that is none", {**GOOD, "send_at": "2025-02-30T16:00:00Z"}, "send_at", "not_rfc3339"),
    ("a moment in four weeks", {**GOOD, "send_at": "2025-07-13T16:00:00Z"}, "send_at", "too_far"),
    ("a validity of 59 s", {**GOOD, "validity_s": 59}, "validity_s", "out_of_range"),
    ("a validity of three days and a second", {**GOOD, "validity_s": 259_201}, "validity_s", "out_of_range"),
    ("a validity of a minute and a half second", {**GOOD, "validity_s": 60.5}, "validity_s", "wrong_type"),
    ("a validity that is true", {**GOOD, "validity_s": True}, "validity_s", "wrong_type"),
    ("a field that nobody knows", {**GOOD, "priority": 1}, "priority", "unknown_field"),
    ("a number as a field's name", {**GOOD, NUMBER: 1}, "(unnamed)", "unknown_field"),
    ("a list", [GOOD], "body", "wrong_type"),
    ("nothing", None, "body", "wrong_type"),
]


@pytest.mark.parametrize(("message", "field", "code"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_message_is_refused_and_the_field_named(message: object, field: str, code: str) -> None:
    found = check(message)
    assert isinstance(found, list)
    assert (field, code) in [(fault.field, fault.code) for fault in found]


RIGHT = [
    {"to": "+12345678", "class": "transactional", "text": "x"},
    {"to": "+123456789012345", "class": "marketing", "text": "x", "from": "MERCURE"},
    {**GOOD, "from": "+33700000001"},
    {**GOOD, "from": "36180"},
    {**GOOD, "from": "Le Café"[:6] + "e"},
    {**without("text"), "template": "spring-sale", "variables": {"name": "Ada", "list": [1, {"a": None}]}},
    {**without("text"), "template": "t"},
    {**GOOD, "client_ref": "commande n° 7", "callback_url": "https://example.com:8443/sms?a=b"},
    {**GOOD, "send_at": "2025-06-16T15:06:40Z"},
    {**GOOD, "send_at": "2025-06-15T17:06:41.5+02:00"},
    {**GOOD, "send_at": "2020-01-01T00:00:00Z"},
    {**GOOD, "validity_s": 60},
    {**GOOD, "validity_s": 259_200},
    {**GOOD, "text": "x" * TEXT_CHARACTERS, "client_ref": None},
]


@pytest.mark.parametrize("message", RIGHT, ids=range(len(RIGHT)))
def test_a_right_message_is_taken(message: object) -> None:
    assert isinstance(check(message), Checked)


def test_http_callbacks_reach_this_machine_only_and_only_when_settings_allow() -> None:
    for url in ("http://127.0.0.1:8000/cb", "http://localhost/cb", "http://[::1]:1/cb"):
        assert isinstance(check({**GOOD, "callback_url": url}, loopback=True), Checked)
        assert isinstance(check({**GOOD, "callback_url": url}), list)
    assert isinstance(check({**GOOD, "callback_url": "http://10.0.0.1/cb"}, loopback=True), list)


def test_all_faults_are_told_at_once() -> None:
    found = check({"to": "x", "class": "y", "text": "", "validity_s": 1})
    assert isinstance(found, list)
    assert {fault.field for fault in found} == {"to", "class", "text", "validity_s"}


@pytest.mark.parametrize("raw", [b"", b"{", b'{"to":}', b'\xff{"a":1}', b'{"to":"\xff","class":"otp","text":"a"}', b'{"to":"\\ud800"}'])  # fmt: skip
def test_what_is_not_json_is_refused_as_such(raw: bytes) -> None:
    found = check_message(raw, NOW, loopback=False)
    assert isinstance(found, list)
    assert [fault.code for fault in found] == ["malformed_json"]


def test_nesting_without_end_is_refused() -> None:
    raw = b'{"to":"+33612345678","class":"otp","template":"t","variables":' + b'{"a":' * 50_000
    found = check_message(raw + b"1" + b"}" * 50_001, NOW, loopback=False)
    assert isinstance(found, list)
    assert found[0].code in ("too_deep", "malformed_json")


def test_the_content_to_seal_is_the_text_or_the_template_with_its_variables() -> None:
    text, template = check(GOOD), check({**without("text"), "template": "t", "variables": {"name": "Zoé"}})
    assert isinstance(text, Checked)
    assert isinstance(template, Checked)
    assert msgspec.json.decode(text.content) == {"text": "hello"}
    assert msgspec.json.decode(template.content) == {"template": "t", "variables": {"name": "Zoé"}}


def test_moments_are_read_with_their_offset() -> None:
    assert moment_of("1970-01-01T01:00:01.250+01:00") == 1250
    assert moment_of("1970-01-01T00:00:60Z") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(SHAPES)) | st.text(max_size=4), json_values, max_size=10))
def test_whatever_is_sent_is_taken_or_refused_with_a_reason(message: dict[str, object]) -> None:
    try:
        raw = msgspec.json.encode(message)
    except (ValueError, OverflowError):
        return  # lone surrogates and giant integers cannot be written as JSON here
    found = check_message(raw, NOW, loopback=False)
    assert isinstance(found, Checked) or (found and all(fault.field and fault.code for fault in found))


@given(st.from_regex(r"\+?([0-9][ .-]?){8,14}", fullmatch=True), st.text(min_size=4, max_size=30))
def test_no_refusal_repeats_the_number_or_the_text(number: str, text: str) -> None:
    found = check({"to": number, "class": "wrong class", "text": text, number: 1, "validity_s": 1})
    assert isinstance(found, list)
    said = " ".join(fault.field + fault.detail for fault in found)
    assert number not in said

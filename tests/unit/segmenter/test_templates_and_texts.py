"""Templates are checked, bounded and never leak; texts are sized by the rules that the sender will use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.prepare import Content, Drop, Ready, sized, text_of
from segmenter.domain.templates import CompiledBody, RenderFailedError, TemplateError, compile_template


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("{{ a", "expected"),
        ("{% if %}x{% endif %}", "missing expression"),
        ("{% unknown %}", "unexpected tag"),
        ("{% include 'other' %}", "unexpected tag"),
        ("{% render 'other' %}", "unexpected tag"),
        ("{{ a | shout }}", "no filter `shout`"),
        ("x" * 4001, "4000"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_the_reason(source: str, word: str) -> None:
    with pytest.raises(TemplateError, match=word):
        CompiledBody(source)


def test_a_missing_variable_fails_the_message_unless_a_default_or_a_question_covers_it() -> None:
    for source in ("{{ name }}", "{{ name | upcase }}", "{{ a.b }}", "{% for x in list %}{% endfor %}"):
        with pytest.raises(RenderFailedError):
            CompiledBody(source).render({})
    assert CompiledBody("{{ name | default: 'you' }}{% if vip %}!{% endif %}").render({}) == "you"


def test_a_failure_tells_the_variables_name_and_no_value() -> None:
    with pytest.raises(RenderFailedError, match="`name` has no value") as failed:
        CompiledBody("{{ secret }}{{ name }}").render({"secret": "Zoé"})
    assert "Zoé" not in str(failed.value)
    with pytest.raises(RenderFailedError) as failed:
        CompiledBody("{{ secret | divided_by: 0 }}").render({"secret": 4242})
    assert "4242" not in str(failed.value)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..100000000) %}a{% endfor %}",
        "{% for i in (1..900) %}" + "a" * 100 + "{% endfor %}",
        "{% assign x = 'a' %}{% for i in (1..60) %}{% assign x = x | append: x %}{% endfor %}{{ x }}",
    ],
)
def test_loops_and_output_have_an_end(source: str) -> None:
    body = CompiledBody(source)
    with pytest.raises(RenderFailedError, match="too much"):  # whoever goes on for ever is stopped by the suite's clock
        body.render({})


def test_nothing_of_python_is_within_reach() -> None:
    for source in ("{{ a.__class__ }}", "{{ a.__init__ }}", "{{ a.items }}"):
        with pytest.raises(RenderFailedError):
            CompiledBody(source).render({"a": {"b": 1}})


@given(st.text(max_size=50).filter(lambda t: "{" not in t))
def test_a_body_without_tags_is_its_own_text(text: str) -> None:
    assert CompiledBody(text).render({}) == text


def test_the_locale_falls_back_to_its_language_and_then_to_the_default() -> None:
    template = compile_template("t", 3, "otp", {"fr": "f", "fr-CA": "c", "en": "e"}, "en")
    chosen = {locale: template.body_for(locale)[0] for locale in ("fr-CA", "fr-FR", "fr_BE", "FR", "de", None)}
    assert chosen == {"fr-CA": "fr-CA", "fr-FR": "fr", "fr_BE": "fr", "FR": "fr", "de": "en", None: "en"}
    assert template.rule == "template:t@3"


@pytest.mark.parametrize(
    ("text", "encoding", "parts"),
    [
        ("a" * 160, "gsm7", 1),
        ("a" * 161, "gsm7", 2),
        ("€" * 80, "gsm7", 1),
        ("č" * 70, "ucs2", 1),
        ("č" * 71, "ucs2", 2),
        ("a" * 1530, "gsm7", 10),
    ],
)
def test_a_text_is_sized_in_its_cheapest_encoding(text: str, encoding: str, parts: int) -> None:
    assert sized(text, "en") == Ready(text, encoding, parts, "en")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a" * 1531, "unencodable"), ("\ud800", "unencodable"), ("", "render_failed"), (" \n", "render_failed")],
)
def test_a_text_that_cannot_go_is_dropped_with_its_reason(text: str, reason: str) -> None:
    found = sized(text, None)
    assert isinstance(found, Drop)
    assert found.reason == reason
    assert found.detail


def test_what_is_in_hand_shows_no_text_when_it_is_printed() -> None:
    assert "secret" not in repr(sized("secret", None)) + repr(Content(text="secret", variables={"a": "secret"}))


def test_a_template_for_another_purpose_is_no_way_past_consent() -> None:
    template = compile_template("t", 1, "marketing", {"en": "Buy"}, "en")
    found, rule = text_of(Content(template="t"), "transactional", None, {"t": template}.get)
    assert found == Drop("render_failed", "template t is for marketing, not transactional")
    assert rule == "template:t@1"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hi {{${first_name}}}", "Hi Ann"),
        ("Hi {{ ${first_name} | default: 'you' }}", "Hi Ann"),
        ("{{custom_attribute.${points}}} points", "7 points"),
        ("{% if {{custom_attribute.${points}}} > 5 %}many{% else %}few{% endif %}", "many"),
        ("{% if ${first_name} == 'Bob' %}{% abort_message('not Bob') %}{% endif %}Hi", "Hi"),
        ("{% if ${points} == 7 %}a{% abort_message %}{% else %}b{% endif %}", None),
        ("It costs ${{ points }}", "It costs $7"),
    ],
)
def test_brazes_spellings_are_read_as_plain_liquid(source: str, expected: str | None) -> None:
    body, told = CompiledBody(source), None
    try:
        told = body.render({"first_name": "Ann", "points": 7})
    except RenderFailedError as error:
        told = None if "aborted" in str(error) else str(error)
    assert told == expected


@pytest.mark.parametrize(
    "source", ["{% abort_message('no {{ name }}') %}Hi", "{% abort_message() %}", "{% abort_message %}"]
)
def test_an_aborted_message_is_dropped_and_its_reason_repeats_nothing_of_the_person(source: str) -> None:
    with pytest.raises(RenderFailedError) as refused:
        CompiledBody(source).render({"name": "Ann"})
    assert "aborted by the template" in str(refused.value)
    assert "Ann" not in str(refused.value)

"""What is said of a template when it is saved, and what no template can do."""

import pytest
from segmenter.domain.check_template import check_body
from segmenter.domain.opt_out_texts import Endings
from segmenter.domain.prepare import Ready, rendered
from segmenter.domain.templates import TOO_MUCH, CompiledBody, RenderFailedError, compile_template

GREEDY = [
    "{% for i in (1..100000000) %}x{% endfor %}",
    "{% for i in (1..900) %}{% for j in (1..900) %}{% endfor %}{% endfor %}",
    "{{ (1..100000000) | join: ',' }}",
    "{% assign r = (1..30000000) | reverse %}x",
    "{% for i in (1..100000000) reversed %}x{% endfor %}",
    "{% for i in (1..n) %}x{% endfor %}",
    "{{ 'x'" + " | replace: 'x', 'xxxxxxxxxx'" * 100 + " }}",
    "{% for i in (1..900) %}{{ long | upcase | downcase | upcase | truncate: 1 }}{% endfor %}",
]


@pytest.mark.parametrize("body", GREEDY)
def test_no_template_can_stall_a_chunk(body: str) -> None:
    with pytest.raises(RenderFailedError, match=TOO_MUCH):
        CompiledBody(body).render({"n": 10**9, "long": "x" * 10_000})


def test_one_greedy_text_leaves_the_next_one_its_whole_budget() -> None:
    greedy, modest = CompiledBody(GREEDY[-1]), CompiledBody("{{ name | upcase }}")
    for _ in range(3):
        with pytest.raises(RenderFailedError):
            greedy.render({"long": "x" * 10_000})
        assert modest.render({"name": "ann"}) == "ANN"


def warned(body: str, known: set[str] | None = None, **longest: object) -> set[tuple[str, str | None]]:
    warnings, _ = check_body("en", CompiledBody(body), known, longest)
    return {(w.code, w.variable) for w in warnings}


def test_a_variable_that_no_contact_has_and_one_without_a_default_are_told() -> None:
    known = {"first_name", "city"}
    assert warned("Hi {{ first_name | default: 'you' }}", known) == set()
    assert warned("Hi {{ first_name }}", known) == {("no_default", "first_name")}
    assert warned("{% if city %}in {{ city }}{% endif %}", known) == set()
    assert warned("Hi {{ nick }}", known) == {("unknown_variable", "nick"), ("no_default", "nick")}
    assert warned("Hi {{ nick }}", None) == {("no_default", "nick")}
    assert warned("{{ contact.ref }} {{ coupon.spring }} {{ feed.shoes[city].name | default: '' }}", known) >= set()


def test_the_longest_text_is_measured_with_the_longest_values_there_are() -> None:
    body = CompiledBody("Hi {{ first_name }}, -20%")
    _, short = check_body("en", body, None, {"first_name": "Ann"})
    _, long = check_body("en", body, None, {"first_name": "A" * 200})
    _, other = check_body("en", body, None, {"first_name": "Łukasz"})
    assert short is not None
    assert long is not None
    assert other is not None
    assert (short.parts, long.parts, short.encoding, other.encoding) == (1, 2, "gsm7", "ucs2")
    assert warned("{{ a }}", None, a="x" * 3000) >= {("unencodable", None)}


FRENCH = Endings({"FR": {"fr": "STOP au 36180", "*": "STOP to 36180"}}, frozenset({"FR", "US"}), 3)


@pytest.mark.parametrize(
    ("text", "country", "locale", "purpose", "becomes"),
    [
        ("Soldes", "FR", "fr", "marketing", "Soldes STOP au 36180"),
        ("Soldes ", "FR", "fr-CA", "marketing", "Soldes STOP au 36180"),
        ("Sales", "FR", "en", "marketing", "Sales STOP to 36180"),
        ("Soldes. STOP au 36222", "FR", "fr", "marketing", "Soldes. STOP au 36222"),
        ("Soldes. stop sms au 36222", "FR", "fr", "marketing", "Soldes. stop sms au 36222"),
        ("Un arret non-stop", "FR", "fr", "marketing", "Un arret non-stop STOP au 36180"),
        ("Votre colis", "FR", "fr", "transactional", "Votre colis"),
        ("Soldes", "BE", "fr", "marketing", "Soldes"),
    ],
)
def test_marketing_tells_how_to_opt_out_where_the_country_demands_it(
    text: str, country: str, locale: str, purpose: str, becomes: str
) -> None:
    assert FRENCH.completed(country, purpose, text, locale) == becomes


def test_the_added_words_count_in_the_parts_and_a_missing_text_is_noticed() -> None:
    template = compile_template("t", 1, "marketing", {"fr": "x" * 150}, "fr")
    ready = rendered(template, "fr", {}, lambda text, locale: FRENCH.completed("FR", "marketing", text, locale))
    assert isinstance(ready, Ready)
    assert ready.parts == 2
    assert FRENCH.lacks("Sale", "US", "marketing")
    assert not FRENCH.lacks("Sale. Reply STOP", "US", "marketing")
    assert not FRENCH.lacks("Sale", "BE", "marketing")

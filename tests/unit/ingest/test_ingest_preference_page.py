"""The page on which a person stops a sender's messages."""

from html.parser import HTMLParser

import pytest
from ingest.domain.preference_page import language_of, notice, page, word_said, wording


class Seen(HTMLParser):
    """What a screen reader and a thumb meet."""

    def __init__(self) -> None:
        super().__init__()
        self.language = ""
        self.buttons: list[str] = []
        self.tags: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if tag == "html":
            self.language = found["lang"] or ""
        if tag == "button":
            self.buttons.append(found["value"] or "")

    def handle_data(self, data: str) -> None:
        self.words += data


def seen(html: str) -> Seen:
    parser = Seen()
    parser.feed(html)
    return parser


@pytest.mark.parametrize(
    ("asked", "locale", "accepted", "language"),
    [
        (None, "fr-CA", "en", "fr"), ("en", "fr", None, "en"), (None, None, "de-DE, fr;q=0.8", "fr"), (None, "de", "en", "en"),
        (None, None, None, "en"), ("xx", "FR_fr", None, "fr"),
    ],
)  # fmt: skip
def test_the_language_is_the_contacts_unless_the_visitor_chose(
    asked: str | None, locale: str | None, accepted: str | None, language: str
) -> None:
    assert language_of(asked, locale, accepted) == language


@pytest.mark.parametrize("language", ["en", "fr"])
def test_gdpr_7_3_one_tap_withdraws_and_the_page_has_no_script(language: str) -> None:
    found = seen(page("c" * 14, {"marketing": "granted"}, language))
    assert (found.language, found.buttons) == (language, ["withdrawn"])
    assert not {"script", "img", "link", "iframe"} & set(found.tags)
    assert {"main", "h1", "title"} <= set(found.tags)


@pytest.mark.parametrize(
    ("purposes", "buttons"),
    [
        ({"marketing": "withdrawn"}, ["granted"]),
        ({"marketing": None}, ["withdrawn", "granted"]),
        ({"marketing": None, "marketing:kids": "granted"}, ["withdrawn", "granted"]),
        ({"marketing": "suppressed"}, []),
        ({"marketing": "granted", "marketing:kids": "granted", "marketing:garden": "withdrawn"}, ["withdrawn", "granted", "withdrawn"]),
    ],
)  # fmt: skip
def test_each_state_has_its_buttons(purposes: dict[str, str | None], buttons: list[str]) -> None:
    assert seen(page("c" * 14, purposes, "en")).buttons == buttons


def test_what_stands_on_the_button_is_what_the_proof_quotes() -> None:
    html = page("c" * 14, {"marketing": "granted", "marketing:kids": "granted"}, "fr")
    for purpose in ("marketing", "marketing:kids"):
        assert wording("fr", purpose, "withdrawn") in seen(html).words


def test_a_code_from_the_address_cannot_write_html() -> None:
    assert "<script>" not in page('"><script>alert(1)</script>', {"marketing": "granted"}, "en")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"purpose=marketing&state=withdrawn", ("marketing", "withdrawn")), (b"state=granted", ("marketing", "granted")),
        (b"purpose=marketing%3Akids&state=withdrawn", ("marketing:kids", "withdrawn")), (b"state=other", None), (b"", None),
        (b"\xff", None), (b"a=1&b=2&c=3&d=4&e=5&f=6", None),
    ],
)  # fmt: skip
def test_only_the_pages_own_form_says_something(body: bytes, said: tuple[str, str] | None) -> None:
    assert word_said(body) == said


def test_a_bad_link_still_tells_the_way_out() -> None:
    assert "STOP" in seen(notice("fr", "gone")).words

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.links import Link, Wanted, address_trouble, check_link, is_served_at, leads_to, with_utm
from ingest.domain.visitors import Visitor, visitor_of

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"  # fmt: skip
ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36"  # fmt: skip
DESKTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:139.0) Gecko/20100101 Firefox/139.0"
IN_INSTAGRAM = IPHONE.replace("Safari/604.1", "Instagram 380.0.0.0")
BROWSER = {"accept": "text/html", "accept-language": "fr"}
PEOPLE = [(IPHONE, "ios"), (IN_INSTAGRAM, "ios"), (ANDROID, "android"), (DESKTOP, None)]
MACHINES = [
    ("WhatsApp/2.23.20.0 A", "preview"),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "preview"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0", "preview"),
    ("TelegramBot (like TwitterBot)", "preview"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview"),
    ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "preview"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "preview"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 12_0 like Mac OS X) Applebot/0.1", "preview"),
    ("Mozilla/5.0 (Windows NT 10.0) Chrome/103 Safari/537.36 BingPreview/1.0b", "scanner"),
    ("BarracudaSentinel (EE)", "scanner"),
    ("Mozilla/5.0 zgrab/0.x", "scanner"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
    ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0.0.0 Safari/537.36", "bot"),
    ("UptimeRobot/2.0", "bot"),
    ("curl/8.5.0", "program"),
    ("python-requests/2.32.0", "program"),
    ("Go-http-client/2.0", "program"),
    ("okhttp/4.12.0", "program"),
    ("Dalvik/2.1.0 (Linux; U; Android 14)", "program"),
    ("some library", "program"),
    ("", "program"),
]  # fmt: skip


@pytest.mark.parametrize(("agent", "platform"), PEOPLE)
def test_a_persons_browser_is_a_person(agent: str, platform: str | None) -> None:
    found = visitor_of("GET", {"user-agent": agent, **BROWSER, "sec-fetch-mode": "navigate"})
    assert found == Visitor(True, platform or "desktop", platform)
    assert visitor_of("GET", {"user-agent": agent, **BROWSER}).human  # browsers of before Fetch Metadata


@pytest.mark.parametrize(("agent", "kind"), MACHINES)
def test_a_machine_is_no_person(agent: str, kind: str) -> None:
    found = visitor_of("GET", {"user-agent": agent, **BROWSER})
    assert (found.human, found.agent) == (False, kind)


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        ("HEAD", BROWSER, "probe"),
        ("GET", {**BROWSER, "sec-purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {**BROWSER, "purpose": "prefetch"}, "prefetch"),
        ("GET", {**BROWSER, "x-moz": "prefetch"}, "prefetch"),
        ("GET", {"accept": "*/*"}, "scanner"),
        ("GET", {}, "scanner"),
        ("GET", {**BROWSER, "sec-fetch-mode": "no-cors"}, "program"),
    ],
)
def test_a_browsers_name_alone_makes_no_person(method: str, headers: dict[str, str], kind: str) -> None:
    found = visitor_of(method, {"user-agent": IPHONE, **headers})
    assert (found.human, found.agent, found.platform) == (False, kind, "ios")


def link(**more: Any) -> Link:
    plain: dict[str, Any] = {
        "number": 1, "tenant_id": "acme", "link_id": "l", "campaign_id": None, "target": "https://shop.example/a", "ios": None,
        "android": None, "fallback": None, "expires_at": None, "domain": None, "deleted": False,
    }  # fmt: skip
    return Link(**{**plain, **more})


@pytest.mark.parametrize(
    ("more", "platform", "now", "expected"),
    [
        ({}, None, 5, "https://shop.example/a"),
        ({"ios": "shop://a"}, "ios", 5, "shop://a"),
        ({"ios": "shop://a"}, "android", 5, "https://shop.example/a"),
        ({"android": "intent://a"}, "android", 5, "intent://a"),
        ({"expires_at": 6}, None, 5, "https://shop.example/a"),
        ({"expires_at": 5}, None, 5, None),
        ({"expires_at": 5, "fallback": "https://shop.example/over", "ios": "shop://a"}, "ios", 5, "https://shop.example/over"),
        ({"deleted": True, "fallback": "https://shop.example/over"}, None, 5, None),
    ],
)  # fmt: skip
def test_a_link_leads_by_time_and_platform(
    more: dict[str, Any], platform: str | None, now: int, expected: str | None
) -> None:
    assert leads_to(link(**more), platform, now) == expected


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://shop.example/a?b=c#d", True), ("http://127.0.0.1:8080/", True), ("myshop://offer/5", True),
        ("javascript:alert(1)", False), ("JavaScript:alert(1)", False), ("data:text/html,x", False), ("file:///etc/passwd", False),
        ("https://", False), ("https://a b", False), ("https://a\r\nSet-Cookie: x=y", False), ("https://é.example", False),
        ("https://user:secret@bank.example", False), ("//shop.example", False), ("/a", False), ("", False), ("https://a:99999/", False),
    ],
)  # fmt: skip
def test_only_harmless_addresses_are_led_to(url: str, good: bool) -> None:
    assert (address_trouble(url, apps=True) is None) == good


def test_utm_parameters_are_added_where_there_are_none() -> None:
    utm = {"source": "sms", "campaign": "sum mer"}
    assert with_utm("https://a.example/x?q=1&utm_source=own#top", utm) == "https://a.example/x?q=1&utm_source=own&utm_campaign=sum+mer#top"  # fmt: skip
    assert with_utm("https://a.example", utm) == "https://a.example?utm_source=sms&utm_campaign=sum+mer"
    assert with_utm("shop://a", utm) == "shop://a"


@given(st.text(alphabet="abc/?&=#%1", max_size=30), st.dictionaries(st.sampled_from(["source", "term"]), st.text(min_size=1)))  # fmt: skip
def test_utm_parameters_leave_a_location_that_a_header_can_hold(path: str, utm: dict[str, str]) -> None:
    found = with_utm(f"https://a.example/{path}", utm)
    assert found.isascii()
    assert found.isprintable()
    assert with_utm(found, utm) == found


def test_a_tenants_domain_serves_no_other_tenants_links() -> None:
    domains = {"go.acme.example": "acme"}
    assert is_served_at(link(), "go.acme.example", domains)
    assert not is_served_at(link(tenant_id="other"), "go.acme.example", domains)
    assert is_served_at(link(tenant_id="other"), "short.example", domains)


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ([], ["body"]), ({}, ["target"]), ({"target": 5}, ["target"]), ({"target": "x", "id": "a/b"}, ["id", "target"]),
        ({"target": "https://a.example", "utm": {"source": 5, "more": "x"}}, ["utm.source", "utm"]),
        ({"target": "https://a.example", "expires_at": "tomorrow"}, ["expires_at"]),
        ({"target": "https://a.example", "domain": "Go.Example"}, ["domain"]),
        ({"target": "https://a.example", "fallback": "shop://a"}, ["fallback"]), ({"target": "https://a.example", "x": 1}, ["x"]),
    ],
)  # fmt: skip
def test_every_wrong_field_is_named(asked: Any, fields: list[str]) -> None:
    found = check_link(asked)
    assert isinstance(found, list)
    assert [fault.field for fault in found] == fields


def test_a_right_link_is_taken() -> None:
    assert isinstance(check_link({"target": "https://a.example", "utm": {"source": "sms"}, "domain": "go.example.com"}), Wanted)  # fmt: skip

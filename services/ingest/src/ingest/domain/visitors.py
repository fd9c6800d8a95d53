"""Who follows a short link: a person, or a machine that looks at it first?

Messengers fetch links for a preview, mail and phone security scan them, monitors and search engines follow everything.
They get the redirect like everybody else, but their visit is no person's click. A machine that pretends to be a phone
is told by what its request lacks: browsers say what they accept and in which language. What remains pretended counts
as a person's.
"""

from typing import Final, NamedTuple


class Visitor(NamedTuple):
    """`agent` is the class told in `LinkClicked`; `platform` is ios, android or None."""

    human: bool
    agent: str
    platform: str | None


# Parts of the User-Agent in small letters, as the operators of these machines document it. The first that fits decides.
_MACHINES: Final = (
    ("preview", (
        "whatsapp/", "facebookexternalhit", "facebot", "twitterbot", "slackbot", "slack-imgproxy", "telegrambot", "discordbot",
        "linkedinbot", "skypeuripreview", "microsoftpreview", "applebot", "viber", "line-poker", "kakaotalk-scrap", "redditbot",
        "pinterestbot", "google-pagerenderer", "googlemessages", "snapchat url preview", "snap url preview", "iframely", "embedly",
        "vkshare", "wechat preview", "bitlybot", "mattermost-bot", "zoombot", "messages preview", "com.apple.webkit.networking",
    )),
    ("scanner", (
        "barracuda", "proofpoint", "mimecast", "safelinks", "bingpreview", "forcepoint", "symantec", "sophos", "trendmicro",
        "trend micro", "kaspersky", "fortiguard", "zscaler", "checkpoint", "paloalto", "cloudmark", "lookout", "virustotal",
        "urlscan", "phishtank", "google-safety", "google-safebrowsing", "netcraft", "expanse", "censys", "shodan", "nmap",
        "zgrab", "masscan", "nuclei", "qualys", "tenable", "wpscan", "securityscan", "safebrowsing",
    )),
    ("bot", (
        "bot/", "bot;", "bot)", "crawler", "spider", "googlebot", "bingbot", "yandex", "baiduspider", "ahrefs", "semrush", "mj12",
        "duckduck", "petalbot", "gptbot", "ccbot", "archive.org", "slurp", "headlesschrome", "phantomjs", "puppeteer", "playwright",
        "selenium", "lighthouse", "pingdom", "uptimerobot", "statuscake", "site24x7", "monitor",
    )),
    ("program", (
        "curl/", "wget/", "python-", "python/", "aiohttp", "go-http-client", "okhttp", "java/", "apache-httpclient", "libwww-perl",
        "axios/", "node-fetch", "undici", "ruby", "php/", "guzzle", "dart:io", "httpie", "postmanruntime", "scrapy", "powershell",
        "cfnetwork", "dalvik/", "insomnia",
    )),
)  # fmt: skip
_ON_THEIR_WAY: Final = ("prefetch", "preview", "prerender")


def visitor_of(method: str, headers: dict[str, str]) -> Visitor:
    """`headers` by their names in small letters."""
    agent = headers.get("user-agent", "").lower()
    platform = platform_of(agent)
    if method != "GET":
        return Visitor(False, "probe", platform)
    if any(word in headers.get(name, "").lower() for name in ("purpose", "sec-purpose", "x-purpose", "x-moz") for word in _ON_THEIR_WAY):  # fmt: skip
        return Visitor(False, "prefetch", platform)
    if not agent:
        return Visitor(False, "program", None)
    for kind, marks in _MACHINES:
        if any(mark in agent for mark in marks):
            return Visitor(False, kind, platform)
    if not agent.startswith(("mozilla/", "opera/")):
        return Visitor(False, "program", platform)
    # Browsers have sent both with every page for decades; scanners that borrow a browser's name often forget one.
    if "accept" not in headers or "accept-language" not in headers:
        return Visitor(False, "scanner", platform)
    # A page is opened by a navigation; whatever else is fetched is not somebody who taps a link (Fetch Metadata).
    if headers.get("sec-fetch-mode", "navigate") != "navigate":
        return Visitor(False, "program", platform)
    return Visitor(True, platform or "desktop", platform)


def platform_of(agent: str) -> str | None:
    """`agent` in small letters."""
    if "iphone" in agent or "ipad" in agent or "ipod" in agent:
        return "ios"
    return "android" if "android" in agent else None

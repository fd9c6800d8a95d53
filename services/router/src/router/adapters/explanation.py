"""Why a message would go where it would go: the answer of POST /v1/routes/explain."""

import re
from typing import Any, NamedTuple

import phonenumbers
from shared.contracts.fields import PURPOSES
from shared.contracts.topics import lane_of
from shared.http.problems import field_problem

from router.domain.choose_carrier import Candidate, Send
from router.domain.decide import RETRY_MS, Decider
from router.domain.health import HealthPicture
from router.domain.limits import Limits
from router.domain.money import text_of
from router.domain.routes import Ask
from router.domain.tariff import PREFIX_DIGITS, prefix_of
from router.domain.windows import known_zone

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_PREFIX = re.compile(rf"[0-9]{{0,{PREFIX_DIGITS}}}", re.ASCII)
_FIELDS = (
    "to",
    "prefix",
    "class",
    "parts",
    "tenant",
    "country",
    "network",
    "sender",
    "campaign",
    "time_zone",
    "encoding",
)
MOST_PARTS = 255  # a concatenated message's part count is one octet (3GPP TS 23.040, section 9.2.3.24.1)


class Asked(NamedTuple):
    prefix: str
    purpose: str
    parts: int
    tenant: str
    country: str | None
    network: str | None
    sender: str | None
    campaign: str | None
    time_zone: str | None
    encoding: str


def asked_of(body: Any) -> Asked:
    if not isinstance(body, dict):
        raise field_problem("body", "invalid", "must be a JSON object")
    for name in body:
        if name not in _FIELDS:
            raise field_problem(name, "unknown", "no such field")
    to, prefix, purpose, parts = body.get("to"), body.get("prefix"), body.get("class"), body.get("parts", 1)
    if (to is None) == (prefix is None):
        raise field_problem("to", "invalid", "give either to, a number in E.164, or prefix, its first digits")
    if to is not None and (not isinstance(to, str) or not _NUMBER.fullmatch(to)):
        raise field_problem("to", "invalid", "must be a number in E.164: + and 7 to 15 digits")
    if prefix is not None and (not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix)):
        raise field_problem("prefix", "invalid", f"must be at most {PREFIX_DIGITS} digits without +")
    if purpose not in PURPOSES:
        raise field_problem("class", "invalid", f"must be one of {', '.join(PURPOSES)}")
    if isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= MOST_PARTS:
        raise field_problem("parts", "invalid", f"must be a whole number from 1 to {MOST_PARTS}")
    for name in _FIELDS[4:]:
        if body.get(name) is not None and not isinstance(body[name], str):
            raise field_problem(name, "invalid", "must be a text")
    country = body.get("country") or (_country_of(to) if to is not None else None)
    shown = prefix_of(to) if to is not None else str(prefix)
    return Asked(
        shown, str(purpose), parts, body.get("tenant") or "", country, body.get("network"), body.get("sender"),
        body.get("campaign"), body.get("time_zone"), body.get("encoding") or "gsm7",
    )  # fmt: skip


def _country_of(number: str) -> str | None:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None


def explained(
    asked: Asked, decider: Decider, health: HealthPicture, limits: Limits, known_network: str | None = None
) -> dict[str, Any]:
    """Every candidate with price, quality and health, the rule, the window, the limits, and why it won or lost.

    `known_network`: of the number itself, where it is known to be elsewhere than its range says.
    """
    range_ = decider.plan.range_of(asked.prefix)
    country = asked.country or (range_.country if range_ else "ZZ")
    network = asked.network or known_network or decider.plan.network_of(asked.prefix)
    ruling = decider.senders.rule(asked.tenant, country, asked.sender, decider.now)
    ask = Ask(
        asked.prefix,
        asked.purpose,
        asked.tenant,
        country,
        network,
        ruling.sender,
        asked.campaign,
        asked.encoding,
        str(asked.parts),
    )
    choice, tariff = decider.choice, decider.choice.tariff
    found = choice.choose(ask)
    told: dict[str, Any] = {
        "prefix": asked.prefix, "class": asked.purpose, "parts": asked.parts, "country": country, "network": network,
        "version": tariff.version, "versions": decider.versions, "decision": found.decision,
    }  # fmt: skip
    rule = choice.routes.rule_for(ask, decider.now)
    told["rule"] = rule.name if rule is not None else None
    opens, shuts = decider.windows.opening(
        country, asked.purpose, asked.tenant, known_zone(asked.time_zone), decider.now
    )
    if shuts is not None:
        told["window"] = {"open": opens == decider.now, "opens_at": opens, "shuts_at": shuts}
    if isinstance(found, Send):
        told |= {"outcome": "send", "carrier": found.carrier, "cost": text_of(found.price * asked.parts)}
        told["charge"] = text_of(limits.charge(asked.tenant, found.price) * asked.parts)
    elif found.reason in ("no_price", "no_rule"):
        told |= {"outcome": "drop", "reason": "no_route"}
    elif found.reason == "no_sender":
        told |= {"outcome": "drop", "reason": "sender_not_allowed"}
    else:
        told |= {"outcome": "defer", "reason": found.reason, "retry_ms": RETRY_MS[lane_of(asked.purpose)]}
    told["sender"] = {"used": ruling.sender, "refused": ruling.refused or None, "replaced": ruling.replaced or None}
    if ruling.refused:
        told |= {"outcome": "drop", "reason": "sender_not_allowed"}
    if opens > decider.now and told["outcome"] == "send":
        told |= {"outcome": "defer", "reason": "quiet_hours", "until": opens}
    told["ported"] = known_network is not None and asked.network is None
    told["limits"] = [one.name for one in limits.fitting(asked.tenant, asked.campaign, asked.purpose, country)]
    told["candidates"] = [_told(c, asked.parts, health, country, decider.now) for c in choice.candidates(ask)]
    told["without_price"] = sorted(c for c in tariff.terms if tariff.offer(c, asked.prefix, network) is None)
    return told


def _told(c: Candidate, parts: int, health: HealthPicture, country: str, now: int) -> dict[str, Any]:
    quality = c.quality
    suspicion = health.measured.suspicion(c.offer.carrier, country, now)
    return {
        "carrier": c.offer.carrier,
        "step": c.step + 1,
        "matched": c.offer.matched,
        "price": text_of(c.offer.price),
        "cost": text_of(c.offer.price * parts),
        "currency": c.offer.currency,
        "health": c.standing.name.lower(),
        "quality": None if not quality.ended else
        {"low": round(quality.low, 4), "high": round(quality.high, 4), "outcomes": round(quality.ended)},
        "suspicion": round(suspicion, 3),
        "spare_rate": round(health.spare(c.offer.carrier), 1),
        "result": c.verdict,
    }  # fmt: skip

"""Builders of values for the router's tests."""

from typing import Any

from router.domain.campaigns import Campaigns
from router.domain.choose_carrier import CarrierChoice
from router.domain.decide import Decider
from router.domain.health import HealthPicture
from router.domain.opt_outs import OptOuts
from router.domain.tariff import Tariff, Terms
from shared.contracts.events import CampaignChanged, CarrierHealth, ConsentChanged, MessagePrepared, MessageReturned

NOW = 1_800_000_000_000
HOUR = 3_600_000
TENANT = "acme"
CONTACT = "c" * 32


def health(carrier: str, state: str = "up", *, age_ms: int = 500, rate: float = 100.0) -> CarrierHealth:
    return CarrierHealth(
        event_id=f"{carrier}:{state}", tenant_id="system", occurred_at=NOW - age_ms, carrier=carrier, state=state,
        binds_up=1, binds_wanted=1, window_used=0.1, latency_ms=20.0, rate=rate, limit=1000.0, throttled=0, errors={},
        unknown=0,
    )  # fmt: skip


def consent(
    state: str, version: int, *, ref: str = "ann", contact_id: str | None = CONTACT, tenant: str = TENANT
) -> ConsentChanged:
    return ConsentChanged(
        event_id=f"{ref}:{version}", tenant_id=tenant, occurred_at=NOW, contact_ref=ref, contact_id=contact_id,
        version=version, purposes={"marketing": state}, source="api",
    )  # fmt: skip


def campaign(state: str, version: int, *, campaign_id: str = "spring", tenant: str = TENANT) -> CampaignChanged:
    return CampaignChanged(
        event_id=f"{campaign_id}:{version}", tenant_id=tenant, occurred_at=NOW, campaign_id=campaign_id, version=version, state=state
    )  # fmt: skip


def _envelope(**changed: Any) -> dict[str, Any]:
    return {
        "event_id": "m:prepared", "tenant_id": TENANT, "occurred_at": NOW, "message_id": "6553f100-0000-8000-8000-000000000001",
        "contact_id": CONTACT, "number_hash": "n" * 32, "purpose": "transactional", "number": b"sealed", "text": b"sealed",
        "encoding": "gsm7", "parts": 1, "country": "FR", "prefix": "3361234", "not_after": NOW + HOUR, "accepted_at": NOW - 1000,
        **changed,
    }  # fmt: skip


def prepared(**changed: Any) -> MessagePrepared:
    return MessagePrepared(**_envelope(**changed))


def returned(cause: str, tried: list[str], **changed: Any) -> MessageReturned:
    given = {"attempt": len(tried), "carrier": tried[-1], "cause": cause, "tried": tried, **changed}
    return MessageReturned(**_envelope(**given))


def tariff(
    prices: dict[str, dict[str, int]], *, connectors: set[str] | None = None, disabled: frozenset[str] = frozenset()
) -> Tariff:
    terms = {name: Terms(name, 1000, 1, "EUR", found, name not in disabled) for name, found in prices.items()}
    return Tariff(7, terms, frozenset(connectors if connectors is not None else prices))


TWO = {"mercure": {"33": 45_000, "": 60_000}, "iris": {"": 50_000}}


def decider(
    *reports: CarrierHealth,
    prices: Tariff | None = None,
    consents: tuple[ConsentChanged, ...] = (),
    campaigns: tuple[CampaignChanged, ...] = (),
    now: int = NOW,
) -> Decider:
    picture, outs, known = HealthPicture(), OptOuts(), Campaigns()
    picture.apply(reports or (health("mercure"), health("iris")))
    outs.apply(consents)
    known.apply(campaigns)
    return Decider(now, CarrierChoice(prices or tariff(TWO), picture, now), known, outs)

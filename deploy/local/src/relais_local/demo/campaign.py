"""The demo's campaign: who, what, in which words. Each text fits one part of 160 GSM characters for everybody."""

from typing import Any

from relais_local.demo.audience import PURPOSE
from relais_local.demo.countries import COUNTRIES

SEGMENT_ID = "demo-everyone"
TEMPLATE_ID = "demo-summer"

SEGMENT: dict[str, Any] = {
    "name": "Everyone in the six countries",
    "filter": {"all": [{"attr": "country", "op": "in", "value": [country.code for country in COUNTRIES]}]},
}

TEMPLATE: dict[str, Any] = {
    "name": "Summer offer",
    "purpose": PURPOSE,
    "bodies": {
        "fr": (
            "{{ first_name }}, vos {{ points }} points vous attendent : -15% jusqu'à dimanche avec le code ETE15"
            "{% if tier == 'gold' %}, livraison offerte{% endif %}. STOP au 36180"
        ),
        "en": (
            "{{ first_name }}, your {{ points }} points are waiting: 15% off until Sunday with code SUMMER15"
            "{% if tier == 'gold' %}, free delivery{% endif %}. Reply STOP to end"
        ),
    },
    "default_locale": "en",
}


def campaign(number: str) -> dict[str, Any]:
    return {
        "name": f"Summer offer {number}",
        "segment": SEGMENT_ID,
        "template": TEMPLATE_ID,
        "purpose": PURPOSE,
        "sender": "RELAIS",
    }

"""The demo's people look like life, are the same every time, and cost one part each."""

import re
from collections import Counter
from datetime import UTC, datetime

import phonenumbers
import pytest
from liquid import Environment
from relais_local.carriers_file import parse_carriers
from relais_local.demo.audience import SIZE, Audience, last_ref, make_audience
from relais_local.demo.campaign import SEGMENT, TEMPLATE
from relais_local.demo.countries import COUNTRIES
from relais_local.demo.run import refuse_real_carriers
from relais_local.errors import LocalStackError

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)

# 3GPP TS 23.038, section 6.2.1, the default alphabet without its escapes
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


@pytest.fixture(scope="module")
def audience() -> Audience:
    return make_audience(NOW)


def kind_of(number: str) -> int | None:
    parsed = phonenumbers.parse(number)
    return phonenumbers.number_type(parsed) if phonenumbers.is_valid_number(parsed) else None


def test_at_least_twenty_thousand_mobile_numbers_are_valid_and_each_in_its_country(audience: Audience) -> None:
    kinds = Counter(kind_of(contact["number"]) for contact in audience.contacts)
    assert kinds[phonenumbers.PhoneNumberType.MOBILE] >= 20_000
    assert 150 <= kinds[None] <= 300
    assert kinds[phonenumbers.PhoneNumberType.FIXED_LINE] >= 200
    for contact in audience.contacts[:2000]:
        if kind_of(contact["number"]) is not None:
            region = phonenumbers.region_code_for_number(phonenumbers.parse(contact["number"]))
            assert region in (contact["attributes"]["country"], "GG", "JE", "IM", "VA")


def test_six_countries_and_no_number_or_reference_twice(audience: Audience) -> None:
    assert {contact["attributes"]["country"] for contact in audience.contacts} == {c.code for c in COUNTRIES}
    assert len(COUNTRIES) == 6
    assert len({contact["number"] for contact in audience.contacts}) == len(audience.contacts) == SIZE
    assert len({contact["ref"] for contact in audience.contacts}) == SIZE
    assert audience.last_ref == last_ref()


def test_most_have_consented_some_never_did_some_took_it_back(audience: Audience) -> None:
    states: dict[str, list[str]] = {}
    for consent in audience.consents:
        states.setdefault(consent["contact"], []).append(consent["state"])
    never = 1 - len(states) / SIZE
    withdrawn = sum(given[-1] == "withdrawn" for given in states.values()) / SIZE
    assert 0.07 <= never <= 0.09
    assert 0.03 <= withdrawn <= 0.05
    assert all(given[0] == "granted" for given in states.values())
    assert all(datetime.fromisoformat(consent["at"]) < NOW for consent in audience.consents)


def test_purchases_have_value_and_currency_and_an_id_of_their_own(audience: Audience) -> None:
    assert len({event["id"] for event in audience.events}) == len(audience.events) > 5000
    assert {event["currency"] for event in audience.events} == {"EUR", "GBP"}
    assert all(re.fullmatch(r"\d+\.\d\d", event["value"]) for event in audience.events)


def test_the_same_seed_makes_the_same_people() -> None:
    assert make_audience(NOW, size=200) == make_audience(NOW, size=200)
    assert make_audience(NOW, size=200) != make_audience(NOW, seed=1, size=200)


def test_every_text_fits_one_part_of_the_gsm_alphabet(audience: Audience) -> None:
    templates = {locale: Environment().from_string(body) for locale, body in TEMPLATE["bodies"].items()}
    longest = 0
    for contact in audience.contacts:
        locale = contact["locale"] if contact["locale"] in templates else TEMPLATE["default_locale"]
        text = templates[locale].render(**contact["attributes"])
        assert set(text) <= GSM, set(text) - GSM
        longest = max(longest, len(text))
    assert longest <= 160


def test_segment_asks_for_all_six_countries() -> None:
    assert SEGMENT["filter"]["all"][0]["value"] == ["FR", "DE", "ES", "IT", "BE", "GB"]


def test_demo_refuses_a_carrier_that_could_reach_people() -> None:
    entry = {"id": "orion", "host": "smpp.example.org", "port": 2775, "system_id": "relais", "password": "secret"}
    with pytest.raises(LocalStackError, match="may belong to people"):
        refuse_real_carriers(parse_carriers({"carriers": [entry]}, "f"))
    refuse_real_carriers(parse_carriers({"carriers": [{**entry, "host": "127.0.0.1"}]}, "f"))

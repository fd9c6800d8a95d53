"""Who may send from which address."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.domain.choose_carrier import CarrierChoice, Drop, Send
from router.domain.decide import Decider
from router.domain.health import HealthPicture
from router.domain.routes import Ask
from router.domain.senders import NO_SENDERS, Ruling, Senders, check_senders, compile_senders, kind_of
from router.domain.trouble import TroublesError
from routing_values import NOW, decider, health, prepared, tariff
from shared.text.look_alikes import folded

BOOK: dict[str, Any] = {
    "countries": {
        "FR": {"kinds": ["alphanumeric", "short_code"], "default": "36180"},
        "BR": {"kinds": ["short_code"], "registered": True},
    },
    "carriers": {"mercure": {"kinds": ["short_code"]}, "iris": {"countries": {"BR": {"registered": True}}}},
    "registered": [
        {"sender": "ACME", "tenant": ["acme"], "proof": "contract 17"},
        {"sender": "28149", "tenant": ["acme"], "country": ["BR"], "carrier": ["iris"], "proof": "Anatel", "until": "2027-06-01T00:00:00Z"},
    ],
    "protected": [{"name": "PayPal", "tenant": ["paypal"]}, {"name": "ING", "tenant": ["ing"]}],
    "tenants": {"soft": {"otherwise": "default", "defaults": {"FR": "SOFT"}}, "bare": {"otherwise": "default"}},
}  # fmt: skip


def senders(body: dict[str, Any] | None = None) -> Senders:
    return compile_senders(5, check_senders(body or BOOK))


@pytest.mark.parametrize(
    ("sender", "kind"),
    [
        ("ACME", "alphanumeric"), ("Acme Shop 1", "alphanumeric"), ("Acme Shop 12", None), ("36180", "short_code"),
        ("+33612345678", "numeric"), ("33612345678", "numeric"), ("1234567890123456", None), ("АСМЕ", None), ("", None), ("12", None),
    ],
)  # fmt: skip
def test_a_sender_is_of_one_kind_or_none(sender: str, kind: str | None) -> None:
    assert kind_of(sender) == kind


@pytest.mark.parametrize("written", ["PayPal", "PAYPAL", "PayPa1", "PAYPAI", "Pay Pal", "PayPal-FR", "paypa1 info"])
def test_a_protected_name_is_seen_through_look_alikes(written: str) -> None:
    assert senders().rule("other", "FR", written, NOW).refused == "it looks like the protected name PayPal"
    assert senders().rule("paypal", "FR", written, NOW) == Ruling(written)


def test_a_short_protected_name_is_not_found_inside_words() -> None:
    assert senders().rule("other", "FR", "1NG", NOW).refused
    assert senders().rule("other", "FR", "SHOPPING", NOW) == Ruling("SHOPPING")


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0158$ ", max_size=11))
def test_folding_does_not_depend_on_case(name: str) -> None:
    assert folded(name.upper()) == folded(name)


def test_without_a_book_every_sender_passes() -> None:
    assert NO_SENDERS.rule("acme", "US", "anything at all", NOW) == Ruling("anything at all")


def test_a_registered_sender_belongs_to_its_tenants() -> None:
    assert senders().rule("acme", "FR", "ACME", NOW) == Ruling("ACME")
    assert senders().rule("other", "FR", "Acme", NOW).refused == "it is registered for somebody else"


def test_where_registration_is_needed_an_unregistered_or_expired_sender_is_refused() -> None:
    assert senders().rule("acme", "BR", "28149", NOW) == Ruling("28149")
    assert senders().rule("acme", "BR", "28150", NOW).refused == "it is not registered for BR"
    assert senders().rule("acme", "BR", "28149", NOW + 365 * 86_400_000).refused == "it is not registered for BR"
    assert senders().rule("acme", "BR", "ACME", NOW).refused == "BR takes no alphanumeric sender"


def test_a_tenant_chooses_between_refusal_and_a_default() -> None:
    assert senders().rule("other", "FR", "+33612345678", NOW).refused == "FR takes no numeric sender"
    assert senders().rule("soft", "FR", "+33612345678", NOW) == Ruling("SOFT", "", "FR takes no numeric sender")
    assert senders().rule("bare", "FR", "+33612345678", NOW).sender == "36180"
    assert senders().rule("bare", "BR", "+5511912345678", NOW).refused


def test_a_message_without_a_sender_gets_the_countrys_default() -> None:
    assert senders().rule("other", "FR", None, NOW) == Ruling("36180")
    assert senders().rule("other", "DE", None, NOW) == Ruling(None)


def deciding() -> Decider:
    picture, known = HealthPicture(), senders()
    picture.apply([health("mercure"), health("iris")])
    prices = tariff({"mercure": {"": 1}, "iris": {"": 2}})
    base = decider()
    choice = CarrierChoice(prices, picture, NOW, refuses_sender=known.refuses)
    return Decider(NOW, choice, base.campaigns, base.opt_outs, senders=known)


def test_a_carrier_that_does_not_take_the_kind_is_passed_over() -> None:
    found = deciding().decide(prepared(sender="ACME"))
    assert isinstance(found, Send)
    assert (found.carrier, found.sender) == ("iris", None)
    assert "mercure=0.000001(sender)" in found.decision
    assert deciding().decide(prepared(sender="36180")).carrier == "mercure"  # type: ignore[union-attr]


def test_a_carrier_that_wants_registration_takes_only_what_was_registered_with_it() -> None:
    brazil = Ask("5511", country="BR")
    told = [senders().refuses("iris", brazil._replace(sender=sender)) for sender in ("28149", "28150")]
    assert told == [False, True]
    assert not senders().refuses("iris", brazil._replace(sender="28150", country="FR"))
    assert not senders().refuses("pluton", brazil._replace(sender="28150"))


def test_refusals_and_replacements_are_on_record() -> None:
    refused = deciding().decide(prepared(sender="PayPa1"))
    assert refused == Drop("sender_not_allowed", "the sender is refused: it looks like the protected name PayPal")
    replaced = deciding().decide(prepared(sender="+33612345678", tenant_id="soft"))
    assert isinstance(replaced, Send)
    assert replaced.sender == "SOFT"
    assert replaced.decision.endswith("sender=replaced senders=5")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"countries": {"fr": {}}}, "countries.fr"),
        ({"countries": {"FR": {"kinds": ["letters"]}}}, "countries.FR.kinds"),
        ({"countries": {"FR": {"default": "!"}}}, "countries.FR.default"),
        ({"registered": [{"sender": "ACME", "tenant": ["acme"]}]}, "registered[0].proof"),
        ({"registered": [{"sender": "ACME", "tenant": [], "proof": "x"}]}, "registered[0].tenant"),
        ({"registered": [{"sender": "a" * 12, "tenant": ["a"], "proof": "x"}]}, "registered[0].sender"),
        ({"registered": [{"sender": "A", "tenant": ["a"], "proof": "x", "until": "soon"}]}, "registered[0].until"),
        ({"protected": [{"name": "--"}]}, "protected[0]"),
        ({"tenants": {"acme": {"otherwise": "maybe"}}}, "tenants.acme.otherwise"),
        ({"tenants": {"acme": {"defaults": {"FR": "?"}}}}, "tenants.acme.defaults.FR"),
        ({"colours": []}, "colours"),
        ({"registered": {}}, "registered"),
    ],
)
def test_a_bad_book_names_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(TroublesError) as caught:
        check_senders({**BOOK, **changed})
    assert field in [trouble.field for trouble in caught.value.troubles]


POOLS = {"tenants": {"acme": {"pools": {"FR": ["36180", "36181", "36182"]}}}, "keywords": {"36181": {"*": "other"}}}


@given(st.text(min_size=1, max_size=32))
def test_a_contact_always_gets_the_same_sender_of_a_pool(contact: str) -> None:
    one = senders(POOLS).rule("acme", "FR", None, NOW, contact)
    assert one == senders(POOLS).rule("acme", "FR", None, NOW + 86_400_000, contact)
    assert one.sender in ("36180", "36182")  # 36181 is somebody else's


def test_a_sender_that_leaves_a_pool_moves_its_own_contacts_only() -> None:
    smaller = senders({"tenants": {"acme": {"pools": {"FR": ["36180", "36183"]}}}})
    larger = senders({"tenants": {"acme": {"pools": {"FR": ["36180", "36182", "36183"]}}}})
    used = set()
    for number in range(300):
        before = larger.rule("acme", "FR", None, NOW, f"c{number}").sender
        used.add(before)
        if before != "36182":
            assert smaller.rule("acme", "FR", None, NOW, f"c{number}").sender == before
    assert used == {"36180", "36182", "36183"}


def test_what_was_asked_for_goes_before_the_pool() -> None:
    assert senders(POOLS).rule("acme", "FR", "ACME", NOW, "c") == Ruling("ACME")


def test_a_keyword_of_a_short_code_has_an_owner_and_the_code_no_other_users() -> None:
    book = senders({"keywords": {"36180": {"Pizza": "acme", "*": "other"}, "36181": {"GO": "acme"}}})
    assert book.owner_of("36180", "PIZZA") == "acme"
    assert book.owner_of("36180", "hello") == "other"
    assert book.owner_of("36181", "hello") is None
    assert book.owners() == {"36180": "other", "36181": "acme"}
    assert book.rule("acme", "FR", "36180", NOW) == Ruling("36180")
    assert book.rule("third", "FR", "36180", NOW).refused == "the short code is somebody else's"


@pytest.mark.parametrize(
    ("book", "field"),
    [
        ({"keywords": {"ACME": {"*": "acme"}}}, "keywords.ACME"),
        ({"keywords": {"36180": {}}}, "keywords.36180"),
        ({"keywords": {"36180": {"two words": "acme"}}}, "keywords.36180"),
        ({"keywords": {"36180": {"go": "acme", "GO": "other"}}}, "keywords.36180.go"),
        ({"tenants": {"acme": {"pools": {"FR": ["36180", "36180"]}}}}, "tenants.acme.pools.FR"),
        ({"tenants": {"acme": {"pools": {"FR": []}}}}, "tenants.acme.pools.FR"),
        ({"tenants": {"acme": {"pools": ["36180"]}}}, "tenants.acme.pools"),
    ],
)
def test_a_bad_pool_or_keyword_is_told(book: dict[str, Any], field: str) -> None:
    with pytest.raises(TroublesError) as caught:
        senders(book)
    assert [trouble.field for trouble in caught.value.troubles] == [field]

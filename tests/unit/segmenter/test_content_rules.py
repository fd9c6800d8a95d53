"""What texts may say: rules as data, and the strictest that speaks up wins."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.adapters.held_store import Due, Held
from segmenter.adapters.people import NO_VOICES, Voices
from segmenter.data.seed import seed_content_rules
from segmenter.domain.check_content import ContentRules, Finding, worse
from segmenter.domain.consent import Stance
from segmenter.domain.content_rules import BOOK, trouble_with
from segmenter.domain.prepare import Drop, Ready, checked
from segmenter.handlers.settle_held import drop_of
from shared.contracts.events import MessagePrepared

SEED = ContentRules(seed_content_rules())


def book(*rules: dict[str, object]) -> ContentRules:
    return ContentRules(BOOK.decode(msgspec.json.encode({"rules": rules})))


@pytest.mark.parametrize(
    ("text", "country", "verdict", "rule"),
    [
        ("Vos offres : https://bit.ly/abc", "FR", "block", "public_shortener"),
        ("Vos offres : www.bit.ly", "FR", "block", "public_shortener"),
        ("Vos offres : BIT.LY/x", "FR", "block", "public_shortener"),
        ("Vos offres : https://rabbit.ly/x", "FR", "pass", None),
        ("Vos offres : https://shop.example/t.com", "FR", "pass", None),
        ("Votre compte Раypal", "FR", "hold", "mixed_script"),
        ("Скидки до 20% сегодня", "FR", "pass", None),
        ("Ваш код для PayPal", "FR", "pass", None),
        ("Votre compte Paypa1 est bloque", "FR", "hold", "protected_names"),
        ("Votre colis Chr0nopost", "FR", "hold", "protected_names"),
        ("Votre colis Chronopost", "FR", "pass", None),
        ("Une biere, un whisky", "AE", "block", "alcohol"),
        ("Une biere, un whisky", "FR", "pass", None),
        ("Les vins de Loire, whiskyesque", "AE", "pass", None),
        ("-20% ce week-end. STOP au 36180", "FR", "pass", None),
    ],
)  # fmt: skip
def test_the_rules_that_come_with_the_service_judge_so(text: str, country: str, verdict: str, rule: str | None) -> None:
    found = SEED.judge(text, country, "marketing")
    assert (found.verdict, found.rule) == (verdict, rule)


def test_block_outranks_hold_and_the_features_name_every_rule_met_but_no_word_of_the_text() -> None:
    found = SEED.judge("Votre compte Paypa1 : bit.ly/secret", "FR", "marketing")
    assert found == Finding("block", "public_shortener", "link public_shortener protected_names")


def test_where_a_country_lists_the_links_that_may_be_sent_every_other_is_refused() -> None:
    rules = book(
        {
            "id": "dlt",
            "kind": "only_domains",
            "verdict": "block",
            "countries": ["IN"],
            "domains": ["shop.example"],
        }
    )
    assert rules.judge("go.shop.example/x", "IN", "marketing").verdict == "pass"
    assert rules.judge("other.example/x", "IN", "marketing").rule == "dlt"
    assert rules.judge("other.example/x", "FR", "marketing").verdict == "pass"


def test_a_tenants_own_rules_add_to_the_operators_and_can_take_none_away() -> None:
    own = BOOK.decode(b'{"rules": [{"id": "rival", "kind": "words", "verdict": "hold", "words": ["Acme"]}]}')
    both = ContentRules(seed_content_rules(), own)
    assert both.judge("Mieux que ACME", "FR", "marketing").rule == "rival"
    assert both.judge("ACME bit.ly/x", "FR", "marketing").rule == "public_shortener"


def test_a_book_with_two_rules_of_one_name_or_a_host_that_is_none_is_refused() -> None:
    twice = {"id": "a", "kind": "mixed_script", "verdict": "hold"}
    assert trouble_with(BOOK.decode(msgspec.json.encode({"rules": [twice, twice]}))) is not None
    for host in ("https://x.example", "X.example", "example"):
        rule = {"id": "a", "kind": "domains", "verdict": "block", "domains": [host]}
        assert trouble_with(BOOK.decode(msgspec.json.encode({"rules": [rule]}))) is not None
    assert trouble_with(seed_content_rules()) is None


@given(st.text(max_size=200), st.sampled_from(["FR", "AE", "IN"]), st.sampled_from(["marketing", "otp"]))
def test_no_text_breaks_the_checks(text: str, country: str, purpose: str) -> None:
    assert SEED.judge(text, country, purpose).verdict in ("pass", "hold", "block")


@given(*[st.builds(Finding, st.sampled_from(["pass", "hold", "block"]), st.just("r"), st.just("f"))] * 2)
def test_of_two_findings_the_stricter_holds_whatever_their_order(one: Finding, other: Finding) -> None:
    assert (
        worse(one, other).verdict
        == worse(other, one).verdict
        == max(one.verdict, other.verdict, key=["pass", "hold", "block"].index)
    )


def test_a_hold_that_a_person_lifted_for_a_run_lets_the_text_pass_and_a_block_is_never_lifted() -> None:
    ready = Ready("x", "gsm7", 1, None)
    held = checked(ready, Finding("hold", "r", "r"))
    assert isinstance(held, Ready)
    assert held.held_by == "r"
    lifted = checked(ready, Finding("hold", "r", "r"), {"r"})
    assert isinstance(lifted, Ready)
    assert (lifted.held_by, lifted.features) == (None, "r")
    assert isinstance(checked(ready, Finding("block", "r"), {"r"}), Drop)


def held_message(purpose: str = "marketing") -> Held:
    event = MessagePrepared(
        event_id="e", tenant_id="acme", occurred_at=0, message_id="m", contact_id="n", number_hash="h", purpose=purpose, number=b"",
        text=b"", encoding="gsm7", parts=1, country="FR", prefix="3361200", campaign_id="c", run="1", not_after=1000, accepted_at=0,
        contact_ref="ann",
    )  # fmt: skip
    return Held(event, "+33612000001", "x", "mixed_script")


def voices(state: str) -> Voices:
    stances = {"marketing": Stance(state, 1, "test")}  # type: ignore[arg-type]
    return Voices({("acme", "ann"): stances}, {"n": [stances]}, set())


@pytest.mark.parametrize(
    ("decision", "state", "now", "reason"),
    [
        ("release", "granted", 10, None),
        ("release", "withdrawn", 10, "opted_out"),  # a STOP came while it waited
        ("release", "granted", 1000, "window_missed"),
        (None, "granted", 1000, "window_missed"),
        ("block", "granted", 10, "blocked"),
        ("cancel", "granted", 10, "cancelled"),
    ],
)
def test_a_held_message_goes_on_only_with_the_consent_and_within_the_validity_of_now(
    decision: str | None, state: str, now: int, reason: str | None
) -> None:
    drop = drop_of(Due(held_message(), decision, "key-2"), voices(state), now)  # type: ignore[arg-type]
    assert (drop.reason if drop else None) == reason


def test_a_released_transactional_message_needs_no_grant() -> None:
    assert drop_of(Due(held_message("transactional"), "release", "k"), NO_VOICES, 1) is None

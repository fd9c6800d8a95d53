"""API messages on the real road: accepted in, prepared or dropped out."""

import asyncio

import pytest
from shared.contracts.events import MessageDropped, MessagePrepared
from stack.segmenter.conftest import Seg

MOBILE = "+336120000{:02}"
LANDLINE = "+33142685300"


async def test_a_one_time_code_needs_no_grant_and_arrives_sealed_number_and_text_apart(seg: Seg) -> None:
    message_id = await seg.accept(
        "+33612000001", {"text": "Votre code : 123456"}, "otp", sender="RELAIS", client_ref="order-1"
    )
    event = await seg.outcome(message_id)
    assert isinstance(event, MessagePrepared)
    assert await seg.text(event) == ("+33612000001", "Votre code : 123456")
    assert (event.encoding, event.parts, event.country, event.prefix) == ("gsm7", 1, "FR", "3361200")
    assert (event.sender, event.client_ref, event.time_zone) == ("RELAIS", "order-1", "Europe/Paris")
    assert event.not_after == event.accepted_at + 86_400_000
    assert event.event_id == f"{message_id}:prepared"
    assert event.fingerprint


async def test_marketing_to_a_number_without_a_grant_is_dropped_and_the_drop_tells_who_asked(seg: Seg) -> None:
    event = await seg.outcome(await seg.accept("+33612000002", {"text": "Soldes"}, client_ref="order-2"))
    assert isinstance(event, MessageDropped)
    assert (event.reason, event.stage, event.country, event.client_ref) == ("no_consent", "segmenter", "FR", "order-2")


async def test_a_grant_and_a_withdrawal_hold_for_the_very_next_request(seg: Seg) -> None:
    ref = await seg.contact("+33612000003", consent=True, locale="fr-FR")
    granted = await seg.outcome(await seg.accept("+33612000003", {"text": "Soldes"}))
    assert isinstance(granted, MessagePrepared)
    assert granted.contact_ref == ref
    await seg.consent(ref, "withdrawn")
    withdrawn = await seg.outcome(await seg.accept("+33612000003", {"text": "Soldes"}))
    assert isinstance(withdrawn, MessageDropped)
    assert withdrawn.reason == "opted_out"
    otp = await seg.outcome(await seg.accept("+33612000003", {"text": "1234"}, "otp"))
    assert isinstance(otp, MessagePrepared)


@pytest.mark.parametrize(
    ("number", "detail"),
    [
        (LANDLINE, "a landline"),
        ("+33899123456", "a premium-rate number"),
        ("+33612", "not a number that its country assigns"),
        ("+330612000001", "written with a trunk prefix: not E.164"),
    ],
)
async def test_a_number_that_no_sms_reaches_is_dropped_and_said_why(seg: Seg, number: str, detail: str) -> None:
    event = await seg.outcome(await seg.accept(number, {"text": "1234"}, "otp"))
    assert isinstance(event, MessageDropped)
    assert (event.reason, event.detail) == ("invalid_number", detail)


async def test_a_template_is_rendered_in_the_contacts_language_by_its_newest_version(seg: Seg) -> None:
    template = {
        "name": "code",
        "purpose": "otp",
        "bodies": {"fr": "Code {{ code }}", "en": "Your code {{ code }}"},
        "default_locale": "en",
    }
    await seg.ok("PUT", "/v1/templates/code", template)
    await seg.contact("+33612000005", locale="fr-CA")
    content = {"template": "code", "variables": {"code": "99"}}
    event = await seg.outcome(await seg.accept("+33612000005", content, "otp"))
    assert isinstance(event, MessagePrepared)
    assert (await seg.text(event))[1] == "Code 99"
    assert event.locale == "fr"
    assert "template:code@1" in event.rules.split()
    stranger = await seg.outcome(await seg.accept("+33612000006", content, "otp"))
    assert isinstance(stranger, MessagePrepared)
    assert (await seg.text(stranger))[1] == "Your code 99"
    assert (await seg.ok("PUT", "/v1/templates/code", template))["version"] == 1
    template["bodies"] = {"en": "New {{ code }}"}
    assert (await seg.ok("PUT", "/v1/templates/code", template))["version"] == 2
    newer = await seg.outcome(await seg.accept("+33612000006", content, "otp"))
    assert isinstance(newer, MessagePrepared)
    assert (await seg.text(newer))[1] == "New 99"


@pytest.mark.parametrize(
    ("content", "purpose", "reason", "detail"),
    [
        ({"template": "nothing"}, "otp", "render_failed", "there is no template nothing"),
        ({"text": "x" * 1531}, "otp", "unencodable", "the text needs 11 parts; 10 are the most"),
        ({"text": "  "}, "otp", "render_failed", "the text is empty"),
    ],
)
async def test_a_text_that_cannot_be_made_is_dropped_and_said_why(
    seg: Seg, content: dict[str, str], purpose: str, reason: str, detail: str
) -> None:
    event = await seg.outcome(await seg.accept("+33612000007", content, purpose))
    assert isinstance(event, MessageDropped)
    assert (event.reason, event.detail) == (reason, detail)


async def test_a_marketing_template_cannot_pass_as_transactional(seg: Seg) -> None:
    template = {"name": "promo", "purpose": "marketing", "bodies": {"en": "Buy"}, "default_locale": "en"}
    await seg.ok("PUT", "/v1/templates/promo", template)
    event = await seg.outcome(await seg.accept("+33612000008", {"template": "promo"}, "transactional"))
    assert isinstance(event, MessageDropped)
    assert event.reason == "render_failed"


async def test_marketing_waits_while_the_router_gives_no_credit_and_codes_do_not(seg: Seg) -> None:
    await seg.contact("+33612000009", consent=True)
    seg.router.messages = 0
    try:
        await stale_credit()
        waiting = await seg.accept("+33612000009", {"text": "Soldes"})
        code = await seg.outcome(await seg.accept("+33612000009", {"text": "1234"}, "otp"))
        assert isinstance(code, MessagePrepared)
        await stale_credit()
        assert not [r for r in seg.seen if getattr(r.event, "message_id", "") == waiting]
    finally:
        seg.router.messages = 100_000
    assert isinstance(await seg.outcome(waiting), MessagePrepared)


async def stale_credit() -> None:
    """Longer than an answer of the router serves."""
    await asyncio.sleep(1.2)


async def test_what_lost_its_validity_before_it_could_be_prepared_is_dropped(seg: Seg) -> None:
    event = await seg.outcome(await seg.accept("+33612000010", {"text": "late"}, "otp", validity_s=0))
    assert isinstance(event, MessageDropped)
    assert event.reason == "window_missed"

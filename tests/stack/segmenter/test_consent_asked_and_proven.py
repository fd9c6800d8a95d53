"""Consent asked twice, said on a page, answered where the law wants it, and proven afterwards."""

import base64
import time
import uuid
from typing import Any

import pytest
from shared.clock import now_ms
from shared.contracts.events import MessageDropped, MessagePrepared
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.ids import NumberIndex
from shared.crypto.sealing import Kind
from stack.segmenter.conftest import Seg, eventually

NUMBER = "+3367{:07}"


async def heard(seg: Seg, tenant: str, number: str, keyword: str, **more: Any) -> None:
    now = now_ms()
    await seg.vault.ready_for([SYSTEM_TENANT], [Kind.NUMBER], now)
    sealed = seg.vault.sealer(SYSTEM_TENANT, Kind.NUMBER, now).seal(number)
    index = NumberIndex(seg.parts.master)
    body = {
        "event_id": uuid.uuid4().hex, "tenant_id": tenant, "contact_id": index.contact_id(tenant, number), "number_hash": index.number_hash(number),
        "keyword": keyword, "carrier": "mercure", "recipient": "36180", "at": now, "number": base64.b64encode(sealed).decode(), **more,
    }  # fmt: skip
    await seg.ok("POST", "/internal/v1/opt-outs", {"opt_outs": [body]}, tenant="system", scope="internal")


async def prepared(seg: Seg, message_id: str) -> tuple[MessagePrepared, str]:
    event = await seg.outcome(message_id)
    assert isinstance(event, MessagePrepared), event
    return event, (await seg.text(event))[1]


async def marketing(seg: Seg, tenant: str, number: str) -> str:
    event = await seg.outcome(await seg.accept(number, {"text": "Sale"}, tenant=tenant))
    return event.reason if isinstance(event, MessageDropped) else "prepared"


async def test_uwg_7_a_double_opt_in_by_a_word_grants_with_the_message_as_proof(seg: Seg) -> None:
    tenant, number = f"t{uuid.uuid4().hex[:8]}", NUMBER.format(3001)
    ref = await seg.contact(number, tenant=tenant, locale="fr")
    body = {"contact": ref, "source": "web form", "proof": "form 7, IP 192.0.2.1", "sender": "36180"}
    asked = await seg.ok("POST", "/v1/consents/double-opt-in", body, tenant=tenant)
    event, text = await prepared(seg, asked["message_id"])
    assert (event.purpose, event.sender, text.startswith("Confirmez")) == ("transactional", "36180", True)
    assert await marketing(seg, tenant, number) == "no_consent"
    assert (await seg.call("POST", "/v1/consents/double-opt-in", body, tenant=tenant))[0] == 409
    await heard(seg, tenant, number, "start")
    assert await marketing(seg, tenant, number) == "prepared"
    line = (await seg.ok("GET", f"/v1/contacts/{ref}/consents", tenant=tenant))["ledger"][0]
    assert line["source"] == "double opt-in, web form"
    assert all(part in line["proof"] for part in ("form 7, IP 192.0.2.1", asked["message_id"], "text to 36180"))
    shown = await seg.ok("GET", f"/v1/consents/double-opt-in/{asked['id']}", tenant=tenant)
    assert shown["state"] == "confirmed"
    assert (await seg.call("GET", f"/v1/consents/double-opt-in/{asked['id']}", tenant="other"))[0] == 404


async def test_a_double_opt_in_by_code_takes_the_right_code_and_five_wrong_ones_at_most(seg: Seg) -> None:
    tenant, number = f"t{uuid.uuid4().hex[:8]}", NUMBER.format(3002)
    ref = await seg.contact(number, tenant=tenant)
    body = {"contact": ref, "source": "till", "method": "code", "purpose": "marketing:kids", "text": "Kids: {code}"}
    asked = await seg.ok("POST", "/v1/consents/double-opt-in", body, tenant=tenant)
    code = (await prepared(seg, asked["message_id"]))[1].removeprefix("Kids: ")
    path = f"/v1/consents/double-opt-in/{asked['id']}/confirm"
    wrong = "000000" if code != "000000" else "000001"
    status, problem = await seg.call("POST", path, {"code": wrong}, tenant=tenant)
    assert (status, problem["errors"][0]["field"]) == (422, "code")
    await seg.ok("POST", path, {"code": code}, tenant=tenant)
    assert (await seg.call("POST", path, {"code": code}, tenant=tenant))[0] == 422  # once
    purposes = (await seg.ok("GET", f"/v1/contacts/{ref}/consents", tenant=tenant))["purposes"]
    assert {name: told["state"] for name, told in purposes.items()} == {"marketing:kids": "granted"}
    assert await marketing(seg, tenant, number) == "no_consent"  # the brand's grant is not all marketing's

    again = await seg.ok("POST", "/v1/consents/double-opt-in", {**body, "purpose": "marketing:garden"}, tenant=tenant)
    code = (await prepared(seg, again["message_id"]))[1].removeprefix("Kids: ")
    wrong = "000000" if code != "000000" else "000001"
    path = f"/v1/consents/double-opt-in/{again['id']}/confirm"
    for _ in range(5):
        assert (await seg.call("POST", path, {"code": wrong}, tenant=tenant))[0] == 422
    status, problem = await seg.call("POST", path, {"code": code}, tenant=tenant)
    assert (status, "too many" in problem["detail"]) == (422, True)


async def test_47_cfr_64_1200_a_12_a_stop_is_confirmed_once_where_the_country_asks_and_nowhere_else(seg: Seg) -> None:
    tenant, american, french = f"t{uuid.uuid4().hex[:8]}", "+12015550123", NUMBER.format(3003)
    await seg.contact(american, tenant=tenant, consent=True)
    await seg.contact(french, tenant=tenant, consent=True)
    for number in (french, american, american):
        await heard(seg, tenant, number, "stop")
        time.sleep(0.002)  # noqa: ASYNC251 - two words at one moment are one word
    found = await eventually(lambda: seg.of_kind("MessagePrepared", tenant_id=tenant))
    assert (await seg.text(found[0]))[1].startswith("You are unsubscribed")
    assert (found[0].sender, found[0].country, found[0].purpose) == ("36180", "US", "transactional")
    await heard(seg, tenant, american, "help")
    await heard(seg, tenant, american, "help")
    found = await eventually(lambda: len(f := seg.of_kind("MessagePrepared", tenant_id=tenant)) >= 3 and f)
    assert len({e.message_id for e in found}) == 2  # one answer to STOP; HELP twice on one day is one message
    assert {e.country for e in found} == {"US"}
    assert await marketing(seg, tenant, american) == "opted_out"


async def test_the_preference_page_says_no_for_everyone_with_the_number_and_knows_no_forged_code(seg: Seg) -> None:
    tenant, number = f"t{uuid.uuid4().hex[:8]}", NUMBER.format(3004)
    ann = await seg.contact(number, tenant=tenant, consent=True, locale="fr")
    bob = await seg.contact(number, tenant=tenant, consent=True)
    event = await seg.outcome(
        await seg.accept(number, {"text": "Bye: https://go.example.com/p/00000000000000"}, tenant=tenant)
    )
    assert isinstance(event, MessagePrepared)
    code = (await seg.text(event))[1].rpartition("/p/")[2]
    path = f"/internal/v1/preferences/{code}"
    shown = await seg.ok("GET", path, tenant="system", scope="internal")
    assert shown["purposes"] == {"marketing": "granted"}
    assert (await seg.call("GET", path, tenant=tenant, scope="contacts:write"))[0] == 403
    forged = code[:-1] + ("a" if code[-1] != "a" else "b")
    assert (await seg.call("GET", f"/internal/v1/preferences/{forged}", tenant="system", scope="internal"))[0] == 404
    said = {
        "purpose": "marketing",
        "state": "withdrawn",
        "proof": "preference page, from 192.0.2.9",
        "wording": "Arrêter",
    }
    told = await seg.ok("POST", path, said, tenant="system", scope="internal")
    assert told["purposes"] == {"marketing": "withdrawn"}
    assert await marketing(seg, tenant, number) == "opted_out"
    for ref in (ann, bob):
        line = (await seg.ok("GET", f"/v1/contacts/{ref}/consents", tenant=tenant))["ledger"][0]
        assert (line["source"], line["recorded_by"], "192.0.2.9" in line["proof"]) == (
            "preference page",
            "person",
            True,
        )


async def test_a_brands_sender_asks_for_the_brands_consent_and_no_other_sender_gets_by_with_it(seg: Seg) -> None:
    tenant, number = f"t{uuid.uuid4().hex[:8]}", NUMBER.format(3010)
    await seg.ok("PUT", "/v1/rules/brands", {"KIDS": "kids"}, tenant=tenant)
    ref = await seg.contact(number, tenant=tenant, attributes={"mark": "b"})
    grant = {"contact": ref, "purpose": "marketing:kids", "state": "granted", "source": "form"}
    await seg.ok("POST", "/v1/consents", grant, tenant=tenant)

    async def from_sender(sender: str | None) -> str:
        event = await seg.outcome(await seg.accept(number, {"text": "Sale"}, tenant=tenant, sender=sender))
        return event.reason if isinstance(event, MessageDropped) else "prepared"

    assert (await from_sender("KIDS"), await from_sender("GARDEN"), await from_sender(None)) == (
        "prepared",
        "no_consent",
        "no_consent",
    )
    for sender, sent in (("KIDS", 1), ("GARDEN", 0)):
        campaign = await seg.campaign({"attr": "mark", "op": "eq", "value": "b"}, "Hi", tenant=tenant, sender=sender)
        assert (await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run", tenant=tenant))["would_send"] == sent
    await heard(seg, tenant, number, "stop")
    assert await from_sender("KIDS") == "opted_out"


async def test_gdpr_7_1_the_proof_of_a_message_is_what_was_recorded_when_it_was_prepared(seg: Seg) -> None:
    tenant, number = f"t{uuid.uuid4().hex[:8]}", NUMBER.format(3005)
    ref = await seg.contact(number, tenant=tenant)
    await seg.consent(ref, "granted", tenant=tenant, proof="till 4")
    at = now_ms()
    time.sleep(0.002)  # noqa: ASYNC251 - the next word is a later one
    await seg.consent(ref, "withdrawn", tenant=tenant)
    contact_id = NumberIndex(seg.parts.master).contact_id(tenant, number)

    async def proof(at: int, purpose: str = "marketing", of: str = tenant) -> Any:
        asked = {"tenant_id": of, "contact_id": contact_id, "contact_ref": ref, "purpose": purpose, "at": at}
        return await seg.ok("POST", "/internal/v1/consent-proof", asked, tenant="system", scope="internal")

    then = await proof(at)
    assert (then["verdict"], [line["proof"] for line in then["ledger"]]) == ("granted", ["till 4"])
    assert (await proof(now_ms()))["verdict"] == "opted_out"
    assert (await proof(at, "otp"))["needed"] is False
    assert (await proof(at, of="other"))["verdict"] == "no_consent"


async def test_a_list_for_everybody_holds_for_all_tenants_and_needs_an_operator(seg: Seg) -> None:
    tenant, other, number = f"t{uuid.uuid4().hex[:8]}", f"t{uuid.uuid4().hex[:8]}", NUMBER.format(3006)
    for each in (tenant, other):
        await seg.contact(number, tenant=each, consent=True)
    body = f"{NUMBER.format(3007)}\nnonsense\n\n{number}".encode()
    path = "/v1/suppressions/import?reason=register&everybody=true"
    assert (await seg.call("POST", path, data=body, kind="text/csv", tenant=tenant, scope="contacts:write"))[0] == 403
    report = await seg.ok("POST", path, data=body, kind="text/csv", tenant=tenant)
    assert report == {"lines": 4, "added": 2, "failed": 1, "bad_lines": [2]}
    assert await marketing(seg, tenant, number) == await marketing(seg, other, number) == "suppressed"
    told = await eventually(lambda: seg.of_kind("ConsentChanged", tenant_id=other, version=2))
    assert told[0].purposes == {"marketing": "suppressed"}
    await seg.ok("DELETE", "/v1/suppressions/everybody", {"number": number}, tenant=tenant)
    assert await marketing(seg, other, number) == "prepared"

    mine = await seg.ok("POST", "/v1/suppressions/import?reason=complaints", data=body, kind="text/csv", tenant=tenant)
    assert mine["added"] == 2
    assert (await marketing(seg, tenant, number), await marketing(seg, other, number)) == ("suppressed", "prepared")


@pytest.mark.parametrize("country", ["us", "USA"])
async def test_rules_for_answers_are_an_operators_data_with_source_and_date(seg: Seg, country: str) -> None:
    told = await seg.ok("GET", "/v1/rules/answers")
    assert told["countries"]["US"]["source"]
    row = {"stop": True, "source": "s", "date": "2026-01-01"}
    assert (await seg.call("PUT", "/v1/rules/answers", {**told, "countries": {country: row}}))[0] == 422
    assert (await seg.call("PUT", "/v1/rules/answers", told, scope="campaigns:write"))[0] == 403

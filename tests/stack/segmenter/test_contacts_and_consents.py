"""Contacts, the consent ledger, suppressions and handsets' opt-outs over HTTP, with what the topics are told."""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from shared.clock import now_ms
from shared.contracts.events import EventTracked, MessagePrepared
from shared.crypto.ids import NumberIndex
from stack.segmenter.conftest import Seg, eventually

KEPT = "+336220000{:02}"


def contact_id(seg: Seg, number: str, tenant: str = "acme") -> str:
    return NumberIndex(seg.parts.master).contact_id(tenant, number)


def opt_out(seg: Seg, number: str, keyword: str = "stop", **more: Any) -> dict[str, Any]:
    return {
        "event_id": uuid.uuid4().hex, "tenant_id": "acme", "contact_id": contact_id(seg, number),
        "number_hash": NumberIndex(seg.parts.master).number_hash(number), "keyword": keyword, "carrier": "mercure",
        "recipient": "36180", "at": now_ms(), **more,
    }  # fmt: skip


async def told(seg: Seg, ref: str, version: int) -> Any:
    """The consent topic's record of a person at a version."""
    return (await eventually(lambda: seg.of_kind("ConsentChanged", contact_ref=ref, version=version)))[0]


async def verdict(seg: Seg, number: str) -> str:
    """What becomes of a marketing message to a number now."""
    event = await seg.outcome(await seg.accept(number, {"text": "Soldes"}))
    return "prepared" if isinstance(event, MessagePrepared) else event.reason


async def test_a_contact_is_stored_read_back_and_replaced_whole(seg: Seg) -> None:
    ref = await seg.contact(
        "+33 6 22 00 00 01", attributes={"city": "Lyon", "points": 3}, locale="fr", time_zone="Europe/Paris"
    )
    found = await seg.ok("GET", f"/v1/contacts/{ref}")
    assert found | {
        "ref": ref, "number": "+33622000001", "number_status": "valid", "country": "FR",
        "attributes": {"city": "Lyon", "points": 3}, "locale": "fr", "time_zone": "Europe/Paris",
    } == found  # fmt: skip
    await seg.contact("+447400000001", ref, attributes={"points": 4})
    found = await seg.ok("GET", f"/v1/contacts/{ref}", replica=1)
    assert (found["number"], found["country"], found["attributes"], found["locale"]) == (
        "+447400000001",
        "GB",
        {"points": 4},
        None,
    )
    changed = await eventually(lambda: len(f := seg.of_kind("ContactChanged", contact_ref=ref)) == 2 and f)
    assert [e.country for e in changed] == ["FR", "GB"]


async def test_neither_number_nor_its_digits_stand_in_the_tables(seg: Seg) -> None:
    ref = await seg.contact("+33622000002", attributes={"city": "Lyon"})
    connection = await asyncpg.connect(seg.parts.database_url("segmenter"))
    await connection.execute("SELECT set_config('relais.tenants', 'acme', false)")
    row = await connection.fetchrow("SELECT contacts::text AS all, number FROM contacts WHERE ref = $1", ref)
    await connection.close()
    assert "622000002" not in row["all"]
    assert b"622000002" not in row["number"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"number": "0612"}, "number"),
        ({}, "number"),
        ({"number": "+33612345678", "time_zone": "Mars/Base"}, "time_zone"),
        ({"number": "+33612345678", "locale": "french!"}, "locale"),
        ({"number": "+33612345678", "attributes": [1]}, "attributes"),
        ({"number": "+33612345678", "colour": "red"}, "colour"),
        ({"number": "+33612345678", "attributes": {"x": "y" * 20_000}}, "attributes"),
    ],
)
async def test_a_malformed_contact_is_refused_by_its_field_and_leaves_nothing(seg: Seg, body: Any, field: str) -> None:
    ref = f"bad-{uuid.uuid4().hex[:8]}"
    status, problem = await seg.call("PUT", f"/v1/contacts/{ref}", body)
    assert (status, problem["errors"][0]["field"]) == (422, field)
    assert "612345678" not in str(problem)
    assert (await seg.call("GET", f"/v1/contacts/{ref}"))[0] == 404


@pytest.mark.parametrize("ref", ["+33612345678", "number:abc", "x" * 129])
async def test_a_ref_is_never_a_phone_number_since_it_travels_in_the_clear(seg: Seg, ref: str) -> None:
    status, problem = await seg.call(
        "POST", "/v1/contacts/batch", {"contacts": [{"ref": ref, "number": "+33612345678"}]}
    )
    assert status == 200
    assert problem["results"][0]["error"]["errors"][0]["field"] == "contacts.0.ref"


async def test_a_batch_answers_for_each_item_and_stores_the_good_ones(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    contacts = [
        {"ref": f"{mark}-1", "number": "+33622000003"},
        {"ref": f"{mark}-2", "number": "nonsense"},
        {"ref": f"{mark}-3", "number": "+33142685300"},
        {"number": "+33622000003"},
    ]
    results = (await seg.ok("POST", "/v1/contacts/batch", {"contacts": contacts}))["results"]
    assert results[0] == {"ref": f"{mark}-1", "status": "stored", "country": "FR", "type": "mobile"}
    assert results[1]["error"]["errors"][0]["field"] == "contacts.1.number"
    assert results[2]["warning"]["detail"] == "a landline"
    assert results[3]["error"]["errors"][0] == {
        "field": "contacts.3.ref",
        "code": "invalid_value",
        "detail": "is required",
    }
    assert (await seg.call("GET", f"/v1/contacts/{mark}-1"))[0] == 200
    assert (await seg.call("GET", f"/v1/contacts/{mark}-2"))[0] == 404


async def test_an_import_reports_bad_lines_and_stores_the_rest(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    csv = f'ref,number,locale,city\n{mark}-1,+33622000004,fr,"Saint-\nÉtienne"\n{mark}-2,12,fr,Lyon\n{mark}-3,+33622000005\n{mark}-4,+33622000006,en,'
    report = await seg.ok("POST", "/v1/contacts/import", data=csv.encode(), kind="text/csv")
    assert (report["lines"], report["stored"], report["failed"]) == (4, 2, 2)
    assert [(e["line"], e["field"]) for e in report["errors"]] == [(4, "number"), (5, "line")]
    assert (await seg.ok("GET", f"/v1/contacts/{mark}-1"))["attributes"] == {"city": "Saint-\nÉtienne"}
    assert (await seg.ok("GET", f"/v1/contacts/{mark}-4"))["attributes"] == {}
    lines = f'{{"ref":"{mark}-5","number":"+33622000007"}}\n\n{{"ref":"{mark}-6"\n'
    report = await seg.ok("POST", "/v1/contacts/import", data=lines.encode(), kind="application/x-ndjson")
    assert (report["stored"], report["failed"], report["errors"][0]["line"]) == (1, 1, 3)
    assert (await seg.call("POST", "/v1/contacts/import", data=b"x", kind="text/plain"))[0] == 415


async def test_the_ledger_keeps_every_word_and_the_last_one_said_holds_whenever_it_is_told(seg: Seg) -> None:
    ref = await seg.contact(KEPT.format(10))
    await seg.consent(ref, "withdrawn", at="2026-05-02T10:00:00+02:00", proof="letter")
    await seg.consent(ref, "granted", at="2026-05-01T10:00:00Z")  # told later, said before
    found = await seg.ok("GET", f"/v1/contacts/{ref}/consents")
    assert found["purposes"]["marketing"]["state"] == "withdrawn"
    assert [(e["state"], e["at"]) for e in found["ledger"]] == [
        ("withdrawn", "2026-05-02T08:00:00.000Z"), ("granted", "2026-05-01T10:00:00.000Z"),
    ]  # fmt: skip
    assert found["ledger"][0] | {"proof": "letter", "recorded_by": "key-1", "source": "test"} == found["ledger"][0]
    await seg.consent(ref, "granted", at="2026-05-01T10:00:00Z")  # the same line again
    assert await seg.ok("GET", f"/v1/contacts/{ref}/consents") == found


async def test_the_service_itself_cannot_change_a_line_of_the_ledger(seg: Seg) -> None:
    connection = await asyncpg.connect(seg.parts.database_url("segmenter"))
    await connection.execute("SELECT set_config('relais.tenants', '*', false)")
    for statement in ("UPDATE consent_ledger SET state = 'granted'", "DELETE FROM consent_ledger"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"purpose": "spam"}, "purpose"), ({"state": "maybe"}, "state"), ({"at": "2026-05-01T10:00:00"}, "at"),
        ({"at": "2999-01-01T00:00:00Z"}, "at"), ({"contact": None}, "contact"), ({"source": ""}, "source"),
    ],
)  # fmt: skip
async def test_a_malformed_consent_is_refused_by_its_field(seg: Seg, change: dict[str, Any], field: str) -> None:
    body = {"contact": "ann", "purpose": "marketing", "state": "granted", "source": "test", **change}
    status, problem = await seg.call("POST", "/v1/consents", body)
    assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_each_change_is_told_with_all_purposes_and_a_higher_version(seg: Seg) -> None:
    number = KEPT.format(11)
    ref = await seg.contact(number, consent=True)
    first = await told(seg, ref, 1)
    assert (first.purposes, first.contact_id) == ({"marketing": "granted"}, contact_id(seg, number))
    await seg.ok(
        "POST", "/v1/consents", {"contact": ref, "purpose": "transactional", "state": "granted", "source": "shop"}
    )
    assert (await told(seg, ref, 2)).purposes == {"marketing": "granted", "transactional": "granted"}
    await seg.consent(ref, "withdrawn")
    assert (await told(seg, ref, 3)).purposes == {"marketing": "withdrawn", "transactional": "granted"}


async def test_a_consent_given_before_the_contact_is_known_is_tied_to_the_number_when_it_comes(seg: Seg) -> None:
    ref, number = f"early-{uuid.uuid4().hex[:8]}", KEPT.format(12)
    await seg.consent(ref, "granted")
    assert (await told(seg, ref, 1)).contact_id is None
    await seg.contact(number, ref)
    assert (await told(seg, ref, 2)).contact_id == contact_id(seg, number)
    assert await verdict(seg, number) == "prepared"


async def test_an_opt_out_stays_with_the_number_that_a_person_leaves_and_with_the_person(seg: Seg) -> None:
    old, new = KEPT.format(13), KEPT.format(14)
    ref = await seg.contact(old, consent=True)
    await seg.consent(ref, "withdrawn")
    await seg.contact(new, ref)
    assert await verdict(seg, new) == "opted_out"
    assert await verdict(seg, old) == "opted_out"
    left = await told(seg, f"number:{contact_id(seg, old)}", 1)
    assert left.purposes == {"marketing": "withdrawn"}


async def test_a_stop_from_a_handset_reaches_everyone_with_the_number_once(seg: Seg) -> None:
    number = KEPT.format(15)
    ann, bob = await seg.contact(number, consent=True), await seg.contact(number, consent=True)
    heard = opt_out(seg, number)
    for _ in range(2):
        await seg.ok("POST", "/internal/v1/opt-outs", {"opt_outs": [heard]}, scope="internal")
    for ref in (ann, bob):
        assert (await told(seg, ref, 2)).purposes == {"marketing": "withdrawn"}
        ledger = (await seg.ok("GET", f"/v1/contacts/{ref}/consents"))["ledger"]
        assert [line["source"] for line in ledger] == ["keyword stop", "test"]
    assert await verdict(seg, number) == "opted_out"
    await seg.ok("POST", "/internal/v1/opt-outs", {"opt_outs": [opt_out(seg, number, "start")]}, scope="internal")
    assert await verdict(seg, number) == "prepared"


async def test_a_stop_from_an_unknown_number_waits_for_whoever_gets_it_until_they_grant_anew(seg: Seg) -> None:
    number = KEPT.format(16)
    await seg.ok("POST", "/internal/v1/opt-outs", {"opt_outs": [opt_out(seg, number)]}, scope="internal")
    assert (await told(seg, f"number:{contact_id(seg, number)}", 1)).purposes == {"marketing": "withdrawn"}
    ref = await seg.contact(number)
    await seg.consent(ref, "granted", at="2020-01-01T00:00:00Z")  # an old grant does not undo a newer STOP
    assert await verdict(seg, number) == "opted_out"
    await asyncio.sleep(0.01)
    await seg.consent(ref, "granted")
    assert await verdict(seg, number) == "prepared"
    assert (await told(seg, f"number:{contact_id(seg, number)}", 2)).purposes == {}


async def test_only_services_may_report_opt_outs(seg: Seg) -> None:
    body = {"opt_outs": [opt_out(seg, KEPT.format(17))]}
    assert (await seg.call("POST", "/internal/v1/opt-outs", body, scope="contacts:write"))[0] == 403


async def test_suppression_outweighs_a_grant_and_ends_when_it_is_lifted(seg: Seg) -> None:
    number = KEPT.format(18)
    ref = await seg.contact(number, consent=True)
    added = await seg.ok("POST", "/v1/suppressions", {"number": number, "reason": "complained"})
    assert (await told(seg, ref, 2)).purposes == {"marketing": "suppressed"}
    assert await verdict(seg, number) == "suppressed"
    listed = (await seg.ok("GET", "/v1/suppressions?limit=1000"))["suppressions"]
    assert [s["reason"] for s in listed if s["contact_id"] == added["contact_id"]] == ["complained"]
    assert (await seg.ok("GET", "/v1/suppressions?limit=1000", tenant="other"))["suppressions"] == []
    await seg.consent(ref, "granted")
    assert await verdict(seg, number) == "suppressed"
    await seg.ok("DELETE", f"/v1/suppressions?contact={ref}")
    assert await verdict(seg, number) == "prepared"
    assert (await seg.call("DELETE", "/v1/suppressions", {"number": number}))[0] == 404


async def test_an_erased_person_is_forgotten_and_never_messaged_again(seg: Seg) -> None:
    number = KEPT.format(19)
    ref = await seg.contact(number, consent=True, attributes={"city": "Lyon"})
    assert (await seg.call("DELETE", f"/v1/contacts/{ref}", tenant="other"))[0] == 404
    await seg.ok("DELETE", f"/v1/contacts/{ref}")
    assert (await seg.call("GET", f"/v1/contacts/{ref}"))[0] == 404
    assert (await seg.call("DELETE", f"/v1/contacts/{ref}"))[0] == 404
    assert (await told(seg, ref, 2)).purposes == {"marketing": "suppressed"}
    assert (await eventually(lambda: seg.of_kind("ContactErased", contact_ref=ref)))[0].contact_id == contact_id(
        seg, number
    )
    again = await seg.contact(number, consent=True)
    assert await verdict(seg, number) == "suppressed"
    assert (await seg.ok("GET", f"/v1/contacts/{ref}/consents"))["ledger"]  # proof of consent stays
    assert again != ref
    back = await seg.contact(number, ref)  # the same name for a new person
    await seg.ok("DELETE", f"/v1/suppressions?contact={back}")
    assert (await verdict(seg, number)) == "prepared"  # by the other's grant; the erased one's is gone
    assert (await seg.ok("GET", f"/v1/contacts/{back}/consents"))["purposes"] == {}


async def test_purchases_count_once_and_choose_the_audience(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    now = now_ms()
    buyer = await seg.contact(KEPT.format(20), attributes={"mark": mark})
    await seg.contact(KEPT.format(21), attributes={"mark": mark})

    def bought(number: int, days_ago: int, tenant: str = "acme") -> EventTracked:
        return EventTracked(
            event_id=f"{mark}-{number}", tenant_id=tenant, occurred_at=now - days_ago * 86_400_000, contact_ref=buyer,
            name="purchase", value=20_000_000, currency="EUR",
        )  # fmt: skip

    await seg.track(bought(1, 1), bought(2, 2), bought(2, 2), bought(3, 90), bought(4, 1, "other"))
    await seg.track(bought(1, 1))
    cases = [
        ({"event": "purchase", "within_days": 30, "agg": "count", "op": "eq", "value": 2}, 1),
        ({"event": "purchase", "agg": "count", "op": "gte", "value": 4}, 0),
        ({"event": "purchase", "agg": "sum", "op": "eq", "value": 60}, 1),
        ({"event": "purchase", "agg": "sum", "op": "gt", "value": 0, "currency": "USD"}, 0),
        ({"event": "purchase", "agg": "recency_days", "op": "lt", "value": 2}, 1),
        ({"not": {"event": "purchase", "agg": "count", "op": "gte", "value": 1}}, 1),
        ({"event": "purchase", "agg": "count", "op": "eq", "value": 0}, 1),
    ]

    async def size(condition: Any) -> int:
        tree = {"all": [{"attr": "mark", "op": "eq", "value": mark}, condition]}
        await seg.ok("PUT", f"/v1/segments/{mark}", {"name": "s", "filter": tree})
        found: int = (await seg.ok("POST", f"/v1/segments/{mark}/preview"))["size"]
        return found

    deadline = now_ms() + 10_000
    while await size(cases[0][0]) != 1:
        assert now_ms() < deadline
    for condition, expected in cases:
        assert await size(condition) == expected, condition


async def test_an_estimate_tells_size_and_sends_nothing(seg: Seg) -> None:
    seen = len(seg.seen)
    found = await seg.ok("POST", "/v1/messages/estimate", {"text": "Prix : 20 €" + "x" * 200})
    assert (found["encoding"], found["parts"]) == ("gsm7", 2)
    assert found["costs"] == [
        {"country": "FR", "lowest": "0.084", "currency": "EUR"}, {"country": None, "lowest": "0.130", "currency": "EUR"},
    ]  # fmt: skip
    found = await seg.ok("POST", "/v1/messages/estimate", {"text": "čau"})
    assert (found["encoding"], found["first_outside_gsm7"]) == ("ucs2", 0)
    status, problem = await seg.call("POST", "/v1/messages/estimate", {"text": "x" * 1600})
    assert (status, problem["errors"][0]["field"]) == (422, "text")
    assert (await seg.call("POST", "/v1/messages/estimate", {}))[0] == 422
    assert len(seg.seen) == seen


async def test_segments_and_templates_are_refused_with_the_place_of_every_trouble(seg: Seg) -> None:
    tree = {"all": [{"attr": "city", "op": "like", "value": "x"}, {"any": []}, {"event": "purchase", "op": "in"}]}
    status, problem = await seg.call("PUT", "/v1/segments/bad", {"name": "s", "filter": tree})
    assert status == 422
    assert [e["field"] for e in problem["errors"]] == ["filter.all.0.op", "filter.all.1.any", "filter.all.2.op"]
    body = {
        "name": "t",
        "purpose": "marketing",
        "bodies": {"fr": "{{ a", "en": "{{ a | shout }}"},
        "default_locale": "de",
    }
    status, problem = await seg.call("PUT", "/v1/templates/bad", body)
    assert status == 422
    assert [e["field"] for e in problem["errors"]] == ["bodies.fr", "bodies.en", "default_locale"]
    assert (await seg.call("GET", "/v1/segments/bad"))[0] == 404
    assert (await seg.call("GET", "/v1/templates/bad"))[0] == 404

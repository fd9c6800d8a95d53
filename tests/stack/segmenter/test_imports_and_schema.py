"""Files of contacts, whatever is in them; the schema they teach; the way back out."""

import uuid

import msgspec
import pytest
from conftest import Seg

pytestmark = pytest.mark.stack


async def load(seg: Seg, body: str | bytes, kind: str = "text/csv", *, tenant: str, query: str = "") -> dict:
    raw = body.encode() if isinstance(body, str) else body
    return await seg.ok("POST", f"/v1/contacts/import{query}", data=raw, kind=kind, tenant=tenant)


async def test_words_of_a_csv_become_values_and_teach_the_schema(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    body = (
        "ref;number;points;zip;vip;born;home;tags\n"
        'a;+33622100001;12;01000;true;1990-05-01;45.76 4.83;"[""x"",""y""]"\n'
        "b;+33622100002;7.5;69001;false;;;\n"
    )
    report = await load(seg, body, tenant=tenant)
    assert (report["lines"], report["stored"], report["complete"]) == (2, 2, True)
    assert (await seg.ok("GET", "/v1/contacts/a", tenant=tenant))["attributes"] == {
        "points": 12, "zip": "01000", "vip": True, "born": "1990-05-01", "home": {"lat": 45.76, "lon": 4.83}, "tags": ["x", "y"],
    }  # fmt: skip
    schema = (await seg.ok("GET", "/v1/attributes", tenant=tenant))["attributes"]
    kinds = {"points": "number", "zip": "text", "vip": "boolean", "born": "date", "home": "point", "tags": "list"}
    assert {name: told["kind"] for name, told in schema.items()} == kinds

    await seg.ok(
        "PUT", "/v1/segments/s", {"name": "s", "filter": "points > 10 and near(home, 45.7, 4.8, 20 km)"}, tenant=tenant
    )
    assert (await seg.ok("POST", "/v1/segments/s/preview", tenant=tenant))["size"] == 1
    status, problem = await seg.call("PUT", "/v1/segments/s", {"name": "s", "filter": "pionts > 10"}, tenant=tenant)
    assert (status, problem["errors"][0]["code"]) == (422, "unknown_attribute")
    assert "did you mean `points`" in problem["detail"]


async def test_a_pinned_schema_refuses_what_does_not_fit_by_line_and_column(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    pinned = {"attributes": {"points": "number", "city": "text"}, "closed": True}
    await seg.ok("PUT", "/v1/attributes", pinned, tenant=tenant)
    report = await load(seg, "ref,number,points\na,+33622100011,3\nb,+33622100012,many\n", tenant=tenant)
    assert (report["stored"], report["failed"]) == (1, 1)
    assert report["errors"] == [
        {"line": 3, "field": "attributes.points", "column": 3, "code": "wrong_kind", "detail": "is pinned as a number: a text does not fit"}
    ]  # fmt: skip
    status, problem = await seg.call(
        "PUT", "/v1/contacts/c", {"number": "+33622100013", "attributes": {"colour": "red"}}, tenant=tenant
    )
    assert (status, problem["errors"][0]["code"]) == (422, "unknown_attribute")
    await seg.ok("PUT", "/v1/attributes", {"attributes": {"points": None}, "closed": False}, tenant=tenant)
    await seg.contact("+33622100013", "c", tenant=tenant, attributes={"points": "many", "colour": "red"})
    schema = (await seg.ok("GET", "/v1/attributes", tenant=tenant))["attributes"]
    assert (schema["points"]["kind"], schema["colour"]["kind"]) == ("mixed", "text")


async def test_the_same_file_again_changes_nothing_and_duplicate_lines_are_counted(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    lines = "".join(f"d{i % 3},+3362210003{i % 3},v{i % 3}\n" for i in range(5000))
    report = await load(seg, "ref,number,word\n" + lines, tenant=tenant)
    assert (report["lines"], report["stored"]) == (5000, 3)
    assert report["unchanged"] + report["repeated"] == 4997
    assert report["failed"] == 0
    again = await load(seg, "ref,number,word\n" + lines, tenant=tenant)
    assert (again["stored"], again["unchanged"] + again["repeated"]) == (0, 5000)
    assert len(seg.of_kind("ContactChanged", tenant_id=tenant)) <= 3


async def test_numbers_that_get_no_sms_are_counted_by_why_and_a_wrong_delimiter_is_said(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    report = await load(seg, "ref,number\na,+33142685300\nb,+33899123456\nc,+33622100021\nd,12\n", tenant=tenant)
    assert report["unreachable"] == {"a landline": 1, "a premium-rate number": 1}
    assert report["refused"] == [{"field": "number", "code": "invalid_number", "lines": 1}]
    assert (await seg.ok("GET", "/v1/contacts/a", tenant=tenant))["number_type"] == "landline"
    status, problem = await seg.call(
        "POST", "/v1/contacts/import", data=b"ref:number\na:+33622100021\n", kind="text/csv", tenant=tenant
    )
    assert (status, "no columns ref and number between comma, semicolon, tab, bar" in problem["detail"]) == (422, True)


async def test_contacts_come_out_as_they_go_in_and_only_the_tenants_own(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    await load(
        seg,
        "ref,number,locale,points\n" + "".join(f"e{i:04},+3362{i:07d},fr,{i}\n" for i in range(1203)),
        tenant=tenant,
    )
    token_line = await exported(seg, tenant)
    assert [line["ref"] for line in token_line] == [f"e{i:04}" for i in range(1203)]
    assert token_line[7] == {"ref": "e0007", "number": "+33620000007", "attributes": {"points": 7}, "locale": "fr"}
    body = b"\n".join(msgspec.json.encode(line) for line in token_line)
    report = await load(seg, body, "application/x-ndjson", tenant=tenant)
    assert (report["stored"], report["unchanged"]) == (0, 1203)
    assert await exported(seg, f"other{tenant}") == []


async def test_the_zone_comes_from_the_place_where_the_number_leaves_it_open(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    for i, (ref, lat, lon) in enumerate((("boise", 43.6, -116.2), ("north", 47.7, -116.8))):  # 208 is all of Idaho
        await seg.contact(f"+1208555012{i}", ref, tenant=tenant, attributes={"home": {"lat": lat, "lon": lon}})
    zones = [(await seg.ok("GET", f"/v1/contacts/{ref}", tenant=tenant))["zone_in_use"] for ref in ("boise", "north")]
    assert zones == ["America/Boise", None]


async def exported(seg: Seg, tenant: str) -> list[dict]:
    from shared.clock import now_ms
    from shared.crypto.tokens import Caller, Tokens

    token = Tokens(seg.parts.internal_secret).sign(Caller(tenant, frozenset({"contacts:read"}), "k"), now_ms() // 1000)
    url = seg.replicas[0].url + "/v1/contacts"
    async with seg.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
        return [msgspec.json.decode(line) for line in (await answer.read()).splitlines()]

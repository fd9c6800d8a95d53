"""Price lists, routes and windows, put over HTTP to one replica and in force in both."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from shared.clock import now_ms
from shared.contracts.events import MessagePrepared
from shared.crypto.ids import NumberIndex

pytestmark = pytest.mark.stack
Make = Callable[..., MessagePrepared]
SHUT = {"id": "sea", "country": "BE", "zones": ["Europe/Brussels"], "days": {"mon": ["00:00-00:01"]}}
TO_IRIS = {
    "groups": {"iris-only": {"steps": [{"pick": "order", "carriers": ["iris"]}]}},
    "rules": [{"id": "campaign", "priority": 1, "when": {"campaign": ["autumn"]}, "group": "iris-only"}],
}


async def in_force(road: Any, path: str, version: int) -> None:
    """In every replica, within two seconds."""
    async with asyncio.timeout(2):
        for replica in range(len(road.replicas)):
            while (await road.call("GET", path, replica=replica))[1]["version"] != version:
                await asyncio.sleep(0.05)


async def put(road: Any, path: str, body: Any) -> int:
    status, told = await road.call("PUT", path, body)
    assert status == 200, told
    await in_force(road, path, told["version"])
    return int(told["version"])


async def test_a_rule_sends_a_campaign_its_own_way_until_it_is_rolled_back(road: Any, make: Make) -> None:
    await put(road, "/v1/routes", {"groups": {}, "rules": []})
    version = await put(road, "/v1/routes", TO_IRIS)
    ruled, other = make(purpose="marketing", campaign_id="autumn"), make(purpose="marketing", campaign_id="winter")
    await road.prepare(ruled, other)
    event = await road.submitted(ruled)
    assert (event.carrier, event.network) == ("iris", "20810")
    assert event.decision.startswith("rule=campaign group=iris-only order iris=0.050")
    assert f"routes={version}" in event.decision
    assert (await road.submitted(other)).carrier == "mercure"
    status, told = await road.call("POST", "/v1/routes/rollback")
    assert status == 200
    await in_force(road, "/v1/routes", told["version"])
    late = make(purpose="marketing", campaign_id="autumn")
    await road.prepare(late)
    assert (await road.submitted(late)).carrier == "mercure"


async def test_a_bad_book_changes_nothing(road: Any) -> None:
    before = (await road.call("GET", "/v1/routes"))[1]
    bad = {**TO_IRIS, "rules": [{**TO_IRIS["rules"][0], "group": "none"}]}  # type: ignore[dict-item]
    for method, path in (("PUT", "/v1/routes"), ("POST", "/v1/routes/validate")):
        status, told = await road.call(method, path, bad)
        assert (status, told["errors"][0]["field"]) == (422, "rules[0].group")
    assert (await road.call("GET", "/v1/routes"))[1] == before


async def test_a_draft_is_kept_and_put_in_force_later(road: Any) -> None:
    status, told = await road.call("PUT", "/v1/routes?activate=false", TO_IRIS)
    assert (status, told["in_force"]) == (200, False)
    assert (await road.call("GET", "/v1/routes"))[1]["version"] != told["version"]
    assert (await road.call("GET", f"/v1/routes?version={told['version']}"))[1]["rules"] == TO_IRIS["rules"]
    assert (await road.call("POST", f"/v1/routes/versions/{told['version']}/activate"))[0] == 200
    await in_force(road, "/v1/routes", told["version"])
    assert (await road.call("POST", "/v1/routes/rollback"))[0] == 200
    assert (await road.call("POST", "/v1/routes/versions/999/activate"))[0] == 404


async def test_a_price_list_is_looked_at_and_then_in_force(road: Any, make: Make) -> None:
    asked = {"carrier": "iris", "csv": "MCC;MNC;Rate\n208;01;0,031\n208;10;0,032\n"}
    status, told = await road.call("POST", "/v1/prices/import", {**asked, "dry_run": True})
    assert (status, told["imported"], told["rows"]) == (200, False, 2)
    assert told["mapping"]["columns"] == {"mcc": "MCC", "mnc": "MNC", "price": "Rate"}
    status, told = await road.call("POST", "/v1/prices/import", asked)
    assert (status, told["imported"]) == (200, True)
    await road.tariff(told["version"])
    message = make()
    await road.prepare(message)
    event = await road.submitted(message)
    assert (event.carrier, event.price, event.network) == ("iris", 32_000, "20810")
    networks = (await road.call("GET", "/v1/prices/networks?carrier=iris"))[1]["networks"]
    assert networks == {"20801": "0.031", "20810": "0.032"}
    explained = (await road.call("POST", "/v1/routes/explain", {"to": "+33612345678", "class": "otp"}))[1]
    assert explained["candidates"][0]["matched"] == "mccmnc:20810"
    status, told = await road.call("POST", "/v1/prices/import", {**asked, "csv": "MCC;MNC;Rate\n208;01;x\n"})
    assert (status, told["errors"][0]["field"]) == (422, "row 2 price")
    # From the next list on what this one does not name ends.
    status, told = await road.call("POST", "/v1/prices/import", {**asked, "csv": "MCC;MNC;Rate\n999;99;1\n"})
    await road.tariff(told["version"])
    assert (await road.call("GET", "/v1/prices/networks?carrier=iris"))[1]["networks"] == {"99999": "1.000"}


async def test_a_price_of_tomorrow_waits_for_its_day(road: Any) -> None:
    csv = "mccmnc,price,valid_from\n20820,0.01,2099-01-01\n"
    status, told = await road.call("POST", "/v1/prices/import", {"carrier": "iris", "csv": csv})
    assert status == 200
    await road.tariff(told["version"])
    found = (await road.call("GET", "/v1/prices/networks?carrier=iris"))[1]
    assert found["networks"] == {"99999": "1.000"}
    assert found["changes_at"] == told["starts_at"]


async def test_marketing_waits_for_its_window_and_a_code_does_not(road: Any, make: Make) -> None:
    version = await put(road, "/v1/routes/windows", {"windows": [SHUT]})
    assert version >= 1
    code = make(country="BE", prefix="3247012")
    marketing = make(country="BE", prefix="3247012", purpose="marketing", not_after=now_ms() + 3_600_000)
    await road.prepare(code, marketing)
    await road.submitted(code)
    assert (await road.dropped(marketing)).reason == "window_missed"
    await put(road, "/v1/routes/windows", {"windows": []})


async def test_number_ranges_are_imported_by_country(road: Any) -> None:
    status, told = await road.call("POST", "/v1/routes/number-plan", {"csv": "prefix,country,mcc,mnc\n351,PT,268,1\n"})
    assert (status, told["errors"][0]["field"]) == (422, "row 2 mnc")
    csv = "prefix,country,mcc,mnc,operator\n35191,PT,268,01,Vodafone\n"
    status, told = await road.call("POST", "/v1/routes/number-plan", {"csv": csv})
    assert (status, told["countries"]["PT"]) == (200, 1)
    found = (await road.call("GET", "/v1/routes/number-plan?prefix=3519112"))[1]
    assert found == {"range": "35191", "country": "PT", "network": "26801", "operator": "Vodafone"}


async def test_the_log_is_replayed_under_other_rules(road: Any, make: Make) -> None:
    messages = [make(campaign_id="replayed") for _ in range(20)]
    await road.prepare(*messages)
    await asyncio.gather(*(road.submitted(m) for m in messages))
    draft = {**TO_IRIS, "rules": [{**TO_IRIS["rules"][0], "when": {"campaign": ["replayed"]}}]}  # type: ignore[dict-item]
    status, told = await road.call("POST", "/v1/routes/replay", {"rules": draft, "from_s": 3600})
    assert status == 200
    assert told["messages"] >= 20
    assert told["changed"] == 20
    assert told["now"]["sent"] == told["draft"]["sent"]
    assert told["cost_difference"] == "0.100"  # 20 times 0.050 instead of 0.045
    status, told = await road.call("POST", "/v1/routes/replay", {"rules": {"rules": 1}})
    assert (status, told["errors"][0]["field"]) == (422, "rules")


async def test_a_ported_number_of_a_file_goes_by_its_own_network(road: Any, make: Make) -> None:
    csv = "MCC;MNC;Rate\n208;01;0,010\n208;10;0,090\n"
    status, told = await road.call("POST", "/v1/prices/import", {"carrier": "iris", "csv": csv})
    assert status == 200
    await road.tariff(told["version"])
    number = "+33612345678"
    status, told = await road.call("POST", "/v1/routes/ported", {"csv": f"number,mcc,mnc\n{number},208,01\n"})
    assert (status, told["numbers"]) == (200, 1)
    number_hash = NumberIndex(road.parts.master).number_hash(number)
    found: list[Any] = []
    async with asyncio.timeout(20):  # replicas notice within five seconds that there is something to look up
        while not found:
            message = make(number_hash=number_hash)
            await road.prepare(message)
            event = await road.submitted(message)
            found += [event] if event.network == "20801" else []
            await asyncio.sleep(0.2)
    assert (found[0].carrier, found[0].price) == ("iris", 10_000)
    stays = make()
    await road.prepare(stays)
    assert ((await road.submitted(stays)).carrier, (await road.submitted(stays)).network) == ("mercure", "20810")
    assert (await road.call("GET", "/v1/routes/ported"))[1] == {"numbers": {"file": 1}}

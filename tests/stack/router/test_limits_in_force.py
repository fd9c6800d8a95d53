"""Tenants' limits, counted in one place for both replicas."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from shared.contracts.events import MessagePrepared
from stack.router.test_rules_in_force import put

pytestmark = pytest.mark.stack
Make = Callable[..., MessagePrepared]


async def test_a_quota_a_ceiling_and_a_rate_hold_over_both_replicas(road: Any, make: Make) -> None:
    book = {
        "limits": [
            {"id": "trial", "campaign": ["trial"], "messages": 5, "period": "total", "tenant": ["acme"]},
            {"id": "slow", "campaign": ["slowly"], "per_second": 5},
        ],
        "margins": {"acme": {"share": "0.10"}},
    }
    version = await put(road, "/v1/routes/limits", book)
    trial = [make(campaign_id="trial", purpose="marketing") for _ in range(12)]
    slow = [make(campaign_id="slowly", purpose="marketing") for _ in range(12)]
    codes = [make(campaign_id="trial") for _ in range(6)]
    others = [make(campaign_id="trial", purpose="marketing", tenant_id="other") for _ in range(7)]
    await road.prepare(*trial, *slow, *codes, *others)
    async with asyncio.timeout(15):
        while not any(road.events(m, "MessageDeferred") for m in slow):
            await asyncio.sleep(0.02)
    await road.campaign("slowly", "completed")  # wakes what a pause holds, and nothing that waits for its turn
    await asyncio.gather(*(road.submitted(m) for m in [*slow, *codes, *others]))
    async with asyncio.timeout(15):
        while sum(bool(road.seen[m.message_id]) for m in trial) < 12:
            await asyncio.sleep(0.05)
    sent = [m for m in trial if road.events(m, "SubmitRequested")]
    refused = [road.events(m, "MessageDropped")[0] for m in trial if m not in sent]
    assert len(sent) == 5
    assert {(d.reason, d.detail) for d in refused} == {
        ("budget_exceeded", f"limit trial: 5 messages is reached limits={version}")
    }
    price = road.events(codes[0], "SubmitRequested")[0].price
    assert f"charge={price * 1.1 / 1e6:.6f}".rstrip("0") in road.events(codes[0], "SubmitRequested")[0].decision
    assert "charge=" not in road.events(others[0], "SubmitRequested")[0].decision
    turns = sorted(road.events(m, "MessageDeferred")[0].until for m in slow if road.events(m, "MessageDeferred"))
    assert turns
    assert all(later - sooner >= 200 for sooner, later in pairwise(turns))
    for message in slow:
        for deferral in road.events(message, "MessageDeferred"):
            assert deferral.reason == "rate_limited"
            assert road.events(message, "SubmitRequested")[0].occurred_at >= deferral.until
    told = (await road.call("GET", "/v1/routes/limits/used?tenant=acme", replica=1))[1]
    [used] = [u for u in told["used"] if u["limit"] == "trial"]
    assert (used["messages"], used["period"], used["campaign"]) == (5, "total", None)
    assert (await road.call("GET", "/v1/routes/limits/used?tenant=other"))[1]["used"] == []
    await put(road, "/v1/routes/limits", {"limits": []})


async def test_the_credit_is_shared_between_tenants(road: Any) -> None:
    async def grant(wants: dict[str, int]) -> dict[str, int]:
        status, told = await road.call("POST", "/internal/v1/credit", {"wants": wants}, scope="internal")
        assert status == 200, told
        return dict(told["granted"])

    # Both carriers take 2,000 a second together: two minutes of it are the most that may wait of one tenant.
    found = await grant({"greedy": 10**9, "modest": 40})
    assert found["greedy"] <= 240_000
    assert found["modest"] == 40
    assert (await road.call("POST", "/internal/v1/credit", {"wants": {"acme": 1}}))[0] == 403
    assert (await road.call("POST", "/internal/v1/credit", {"wants": {"acme": "1"}}, scope="internal"))[0] == 422

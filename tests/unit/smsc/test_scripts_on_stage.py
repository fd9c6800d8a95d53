"""What holds for scripts in general: seeds, limits, acts by hand, the control API."""

import asyncio
import json

import aiohttp
import pytest
from console.smsc import ScriptError, Smsc, read_script
from unit.smsc.hearing_esme import HearingEsme
from unit.smsc.raw_esme import ENQUIRE_LINK


async def run(start_smsc, **settings) -> list[tuple[str, int | None]]:
    script = read_script(
        "name: by chance\nwhen:\n"
        "  - {for: 10 % of submits, do: lose the response}\n"
        "  - {for: 10 % of submits, do: answer with ESME_RSYSERR}\n"
    )
    smsc = await start_smsc(script=script, **settings)
    async with await HearingEsme.bound(smsc.port) as esme:
        for _ in range(4):
            esme.submit(50, registered=0)
        await esme.enquire()
    return [(row.act, row.sequence) for row in smsc.acts.rows()]


async def test_the_same_seed_brings_the_same_acts_upon_the_same_submits_and_another_seed_others(start_smsc):
    first = await run(start_smsc, seed=3)
    assert 20 < len(first) < 60
    assert first == await run(start_smsc, seed=3)
    assert first != await run(start_smsc, seed=4)


async def test_a_rule_fires_no_more_often_than_at_most(start_smsc):
    script = read_script(
        "name: x\nwhen:\n  - {every: 2 submits, do: lose the response, at most: twice}\n"
        "  - {every: 20 ms, do: send an unknown command, at most: 3 times}\n"
    )
    smsc = await start_smsc(script=script)
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = esme.submit(10, registered=0)
        await esme.hear(lambda: sum(one.command == 0xA5A5 for one in esme.pdus) == 3)
        await esme.hear_for(0.1)
        assert [one.sequence for one in esme.responses] == [sequences[i] for i in (0, 2, 4, 5, 6, 7, 8, 9)]
        assert len(smsc.acts) == 5


async def test_an_act_by_hand_meets_the_next_of_its_kind(start_smsc):
    smsc = await start_smsc()
    async with await HearingEsme.bound(smsc.port) as esme:
        smsc.perform("answer with ESME_RX_T_APPN")
        smsc.perform("send the receipt twice")
        answers = await esme.hear_answers(esme.submit(2))
        await esme.hear(lambda: len(esme.delivered) == 2)
        assert [one.status for one in answers] == [0x64, 0]
        assert len(set(esme.receipt_ids)) == 1
        smsc.perform("refuse the bind")
        async with await HearingEsme.connect(smsc.port) as other:
            assert [await other.bind(), await other.bind()] == [0x0D, 0]
        smsc.perform("let 3 handsets send ARRET to 38080 within 10 ms")
        await esme.hear(lambda: len(esme.delivered) >= 3)
    with pytest.raises(ScriptError):
        smsc.perform("dance")


async def test_an_act_that_lasts_ends(start_smsc):
    smsc = await start_smsc()
    async with await HearingEsme.bound(smsc.port) as esme:
        smsc.perform("throttle for 200 ms")
        (refused,) = await esme.hear_answers(esme.submit(1))
        await asyncio.sleep(0.25)
        (taken,) = await esme.hear_answers(esme.submit(1))
        assert (refused.status, taken.status) == (0x58, 0)


async def test_a_receipt_cut_short_meets_whichever_bind_gets_it_and_only_one(start_smsc):
    script = read_script("name: x\nwhen:\n  - {after: 3 receipts, do: cut the link in mid-receipt}\n")
    smsc = await start_smsc(script=script)
    async with await HearingEsme.bound(smsc.port) as one, await HearingEsme.bound(smsc.port) as other:
        one.acknowledges = other.acknowledges = False
        for _ in range(2):
            one.submit(3)
        await asyncio.gather(*(esme.hear_for(0.5) for esme in (one, other)))
        assert one.ended + other.ended == 1
    assert len(smsc.acts) == 1


async def test_the_control_api_tells_and_performs_acts_and_a_wrong_one_is_not_repeated(start_smsc):
    smsc = await start_smsc(script="response_lost", control_port=0)
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{smsc.control_port}") as control,
        await HearingEsme.bound(smsc.port) as esme,
    ):
        answer = await control.post("/acts", json={"do": "answer twice"})
        assert answer.status == 202
        await esme.hear_answers(esme.submit(1, registered=0))
        await control.post("/acts", json={"do": "send a response to nothing"})
        rows = [json.loads(line) for line in (await (await control.get("/acts")).text()).splitlines()]
        assert [(row["n"], row["act"], row["session"]) for row in rows] == [
            (0, "answer twice", 1),
            (1, "send a response to nothing", 1),
        ]
        assert rows[0]["id"] == smsc.history.rows()[0].message_id.decode()
        later = (await (await control.get("/acts", params={"since": "1"})).text()).splitlines()
        assert [json.loads(line)["n"] for line in later] == [1]
        history = json.loads(await (await control.get("/history")).text())
        assert (history["acts"], history["account"]) == (["answer twice"], "relais")
        assert (await (await control.get("/script")).json())["name"] == "one response in a hundred is lost"
        wrong = await control.post("/acts", json={"do": "send 33612345678 a kiss"})
        assert wrong.status == 422
        assert "33612345678" not in await wrong.text()
        assert (await (await control.get("/counters")).json())["acts"] == 2


async def test_without_a_script_there_are_no_acts(start_smsc):
    smsc = await start_smsc(control_port=0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{smsc.control_port}") as control:
        assert await (await control.get("/acts")).text() == ""
        assert (await (await control.get("/script")).json())["name"] is None


async def test_the_simulator_stops_while_a_script_is_at_work(start_smsc):
    script = read_script(
        "name: x\nwhen:\n  - {every: 5 ms, do: refuse connections for 5 ms}\n"
        "  - {from: the start, do: hold the responses}\n  - {after: 1 s, do: cut every link}\n"
    )
    base = await start_smsc()
    async with Smsc(base.config, script=script) as smsc, await HearingEsme.bound(smsc.port) as esme:
        esme.submit(3)
        esme.ask(ENQUIRE_LINK)
        await esme.hear_for(0.05)
    assert len(smsc.acts) > 2

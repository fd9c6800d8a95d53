import json

import aiohttp
import pytest
from unit.smsc.raw_esme import DELIVER_SM, SUBMIT_SM, RawEsme, short_message, submit_body

NUMBER, TEXT = "33612345678", "STOP maintenant"


@pytest.fixture
async def smsc(start_smsc):
    return await start_smsc(control_port=0)


@pytest.fixture
async def control(smsc):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{smsc.control_port}") as session:
        yield session


async def test_a_text_posted_as_inbound_reaches_the_esme(smsc, control):
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        answer = await control.post("/inbound", json={"from": NUMBER, "to": "36180", "text": TEXT})
        assert (answer.status, await answer.json()) == (202, {"parts": 1})
        deliver = await esme.read()
    assert deliver.command == DELIVER_SM
    assert short_message(deliver) == TEXT.encode()


async def test_history_is_exported_as_one_json_line_a_submit(smsc, control):
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind(2)
        for i in range(3):
            await esme.ask(SUBMIT_SM, 2 + i, submit_body(to=NUMBER, text=b"\x00@%d" % i))
    lines = (await (await control.get("/history", params={"since": "1"})).text()).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["n"] for row in rows] == [1, 2]
    assert rows[0]["to"] == NUMBER
    assert rows[0]["from"] == "Relais"
    assert bytes.fromhex(rows[0]["octets"]) == b"\x00@1"
    assert rows[0]["id"] == smsc.history.rows()[1].message_id.decode()
    assert (rows[0]["status"], rows[0]["stat"], rows[0]["session"]) == (0, "DELIVRD", 1)


async def test_behaviour_changes_while_running(smsc, control):
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind(2)
        changed = await control.patch("/behaviour", json={"errors": [{"status": 0x45, "share": 1.0}]})
        assert (await changed.json())["errors"][0]["status"] == 0x45
        assert (await esme.ask(SUBMIT_SM, 2, submit_body())).status == 0x45
    counters = await (await control.get("/counters")).json()
    assert (counters["submits"], counters["refused"], counters["responses"]) == (1, 1, 1)
    assert counters["history_next"] == 1


async def test_links_responses_and_listener_are_controlled(smsc, control):
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        assert (await (await control.get("/sessions")).json())["sessions"][0]["mode"] == "trx"
        await control.post("/responses/pause", json={"deaf": True})
        assert smsc.deaf
        await control.post("/responses/resume")
        assert not smsc.deaf
        dropped = await control.post("/links/drop", json={"how": "abort"})
        assert await dropped.json() == {"dropped": 1}
    await control.post("/listener/stop")
    with pytest.raises(OSError):  # noqa: PT011 -- which error depends on the system
        await RawEsme.connect(smsc.port)
    await control.post("/listener/start")
    assert (await control.get("/health")).status == 200
    async with await RawEsme.connect(smsc.port) as esme:
        assert (await esme.bind()).status == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/inbound", json.dumps({"from": NUMBER, "to": "36180", "text": TEXT, "alphabet": "morse"})),
        ("POST", "/inbound", json.dumps({"from": NUMBER, "to": "36180", "text": TEXT + "ж", "alphabet": "gsm"})),
        ("POST", "/inbound", json.dumps({"from": NUMBER + "é", "to": "36180", "text": TEXT})),
        ("POST", "/inbound", f'{{"from": "{NUMBER}", "text": "{TEXT}'),
        ("POST", "/inbound", json.dumps([NUMBER, TEXT])),
        ("PATCH", "/behaviour", json.dumps({"outcomes": [{"stat": TEXT, "destination_ends": NUMBER}]})),
        ("GET", "/history?since=-1", ""),
    ],
)
async def test_a_wrong_request_gets_422_and_repeats_no_number_and_no_text(control, caplog, method, path, body):
    answer = await control.request(method, path, data=body)
    said = await answer.text()
    assert answer.status == 422
    assert NUMBER not in said + caplog.text
    assert TEXT not in said + caplog.text

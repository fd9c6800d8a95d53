"""`relais smsc` as a process."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from unit.smsc.raw_esme import SUBMIT_SM, RawEsme, submit_body


def start(*options: str, password: str | None = "secret") -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RELAIS_SMSC_PASSWORD"}
    if password:
        environment["RELAIS_SMSC_PASSWORD"] = password
    command = [sys.executable, "-c", "from console.cli import main; main()", "smsc", *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_it_tells_its_ports_serves_logs_no_personal_data_and_stops_within_a_second(tmp_path):
    config = tmp_path / "smsc.yaml"
    config.write_text("system_id: relais\nport: 1\nbehaviour:\n  errors: []\n")
    process = start("--config", str(config), "--port", "0", "--seed", "3")
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        assert ready["control_port"] > 0
        async with await RawEsme.connect(ready["port"]) as esme:
            assert (await esme.bind()).status == 0
            assert (await esme.ask(SUBMIT_SM, 2, submit_body(to="33612345678", text=b"words"))).status == 0
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == 0
            assert time.monotonic() - began < 1.0
    finally:
        process.kill()
        _, errors = process.communicate()
    assert "SMSC stopped" in errors
    assert "33612345678" not in errors
    assert "words" not in errors


@pytest.mark.parametrize(
    ("content", "options", "password", "said"),
    [
        ("", ["--system-id", "relais"], None, "password"),
        ("", [], "secret", "system_id"),
        ("password: hush\n", ["--system-id", "relais"], "secret", "RELAIS_SMSC_PASSWORD"),
        ("prot: 1\n", ["--system-id", "relais"], "secret", "prot"),
        ("- 1\n", ["--system-id", "relais"], "secret", "mapping"),
    ],
)
def test_a_wrong_start_stops_with_a_sentence(tmp_path, content, options, password, said):
    config = tmp_path / "smsc.yaml"
    config.write_text(content)
    process = start("--config", str(config), *options, password=password)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in errors
    assert "hush" not in errors
    assert "Traceback" not in errors


def test_the_library_is_listed_without_a_password():
    process = start("--scripts", password=None)
    listed, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "half_open " in listed
    assert "the link dies in the middle of a receipt" in listed


async def test_a_script_is_performed_and_a_wrong_one_stops_with_its_line(tmp_path):
    script = tmp_path / "carrier.yaml"
    script.write_text("name: a carrier\nwhen:\n  - after: 1 submit\n    do: answer with ESME_RMSGQFUL\n")
    process = start("--script", str(script), "--system-id", "relais", "--port", "0")
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        async with await RawEsme.connect(ready["port"]) as esme:
            await esme.bind()
            assert (await esme.ask(SUBMIT_SM, 2, submit_body())).status == 0x14
    finally:
        process.kill()
        process.communicate()
    script.write_text("name: a carrier\nwhen:\n  - after: 1 submit\n    do: answr twice\n")
    wrong = start("--script", str(script), "--system-id", "relais", "--port", "0")
    _, errors = wrong.communicate(timeout=20)
    assert wrong.returncode == 2
    assert "line 4" in errors
    assert "`answer twice`" in errors

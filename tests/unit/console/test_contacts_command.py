"""`relais contacts`."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from console import contacts_command
from console.cli import app
from console.pieces import pieces
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(contacts_command, "PAUSE_S", 0.0)
    path = tmp_path / "people.csv"
    path.write_text("ref,number\n" + "".join(f"c{i},+336{i:08d}\n" for i in range(100)))
    return path


class Api:
    """Takes pieces; `falls` answers 503 from that request on."""

    def __init__(self) -> None:
        self.lines: dict[int, str] = {}
        self.requests, self.falls, self.refuses = 0, 10**9, 10**9

    async def load(self, request: web.Request) -> web.Response:
        self.requests += 1
        assert request.headers["Authorization"] == "Bearer secret"
        if self.requests >= self.refuses:
            return web.json_response({"detail": "the first line has no columns"}, status=422)
        if self.requests >= self.falls:
            return web.json_response({"detail": "away"}, status=503)
        header, *lines = (await request.text()).splitlines()
        assert header == "ref,number"
        first = int(request.query["line"])
        for number, line in enumerate(lines, first):
            assert number not in self.lines, "a piece came twice"
            self.lines[number] = line
        bad = [n for n in range(first, first + len(lines)) if n == 50]
        return web.json_response(
            {
                "lines": len(lines), "stored": len(lines) - len(bad), "unchanged": 0, "repeated": 0, "failed": len(bad), "unreachable": {},
                "errors": [{"line": n, "column": 2, "field": "number", "code": "invalid_number", "detail": "no"} for n in bad],
                "refused": [{"field": "number", "code": "invalid_number", "lines": 1} for _ in bad],
            }
        )  # fmt: skip


async def ran(api: Api, file: Path, *more: str) -> Any:
    import asyncio

    server = web.Application()
    server.router.add_post("/v1/contacts/import", api.load)
    async with TestServer(server, port=0) as running:
        # One address for all runs: the state is kept for file, address and key.
        monkey = pytest.MonkeyPatch()
        monkey.setattr(contacts_command, "state_of", lambda *_: file.with_suffix(".state"))
        try:
            asked = ["contacts", "import", str(file), "--api", str(running.make_url("/")), "--key", "secret", *more]
            return await asyncio.to_thread(CliRunner().invoke, app, asked)
        finally:
            monkey.undo()


async def test_a_file_is_loaded_in_pieces_and_its_bad_lines_are_listed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts_command, "pieces", lambda *a, **k: pieces(*a, **k, size=200))
    api = Api()
    found = await ran(api, file)
    assert found.exit_code == 2, found.output
    assert api.requests > 5
    assert api.lines == {i + 2: f"c{i},+336{i:08d}" for i in range(100)}
    assert "100 lines: 99 stored, 0 unchanged, 0 repeated, 1 bad" in found.output
    listed = file.with_name("people.csv.bad.csv").read_text().splitlines()
    assert listed == ["line,column,field,code,why", "50,2,number,invalid_number,no"]


async def test_after_a_break_the_same_command_goes_on_where_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts_command, "pieces", lambda *a, **k: pieces(*a, **k, size=200))
    api = Api()
    api.falls = 4
    found = await ran(api, file)
    assert (found.exit_code, len(api.lines) < 100) == (1, True)
    assert "goes on from here" in found.output
    api.falls = 10**9
    found = await ran(api, file)
    assert found.exit_code == 2, found.output
    assert sorted(api.lines) == list(range(2, 102))  # each line once
    assert "100 lines: 99 stored" in found.output
    assert "--restart" in (await ran(api, file)).output


async def test_a_file_that_is_refused_is_said_with_the_reason(file: Path) -> None:
    api = Api()
    api.refuses = 1
    found = await ran(api, file)
    assert (found.exit_code, api.requests) == (1, 1)
    assert "the first line has no columns" in found.output


def test_a_state_that_cannot_be_read_is_no_state(tmp_path: Path) -> None:
    kept = tmp_path / "state.json"
    kept.write_text("{")
    assert contacts_command.read_state(kept) == contacts_command.State()
    contacts_command.write_state(kept, contacts_command.State(offset=7, line=3))
    assert contacts_command.read_state(kept).offset == 7
    assert json.loads(kept.read_text())["line"] == 3


@given(rows=st.lists(st.sampled_from(["a,1", 'b,"x\ny"', "c,3", ""]), max_size=30), size=st.integers(1, 60))
def test_pieces_hold_every_line_once_and_tell_its_number(tmp_path_factory: Any, rows: list[str], size: int) -> None:
    path = tmp_path_factory.mktemp("pieces") / "f.csv"
    body = "".join(row + "\n" for row in rows)
    path.write_text("h,i\n" + body)
    whole, line = b"", 2
    for piece in pieces(path, csv=True, size=size):
        assert piece.body.startswith(b"h,i\n")
        assert piece.line == line
        whole += piece.body[4:]
        line = piece.next_line
        assert piece.end == 4 + len(whole)
    assert whole.decode() == body

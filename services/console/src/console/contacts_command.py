"""`relais contacts`: a file of contacts loaded piece by piece, and all contacts written to a file."""

import asyncio
import csv as csv_writer
import json
import os
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from console.pieces import Piece, first_line, pieces

contacts = typer.Typer(no_args_is_help=True, help="Contacts: load them from a file, write them to one.")
Api = Annotated[str, typer.Option(envvar="RELAIS_API", help="Address of the API, such as http://127.0.0.1:8080")]
Key = Annotated[str, typer.Option(envvar="RELAIS_KEY", help="An API key with the scope contacts:write")]
WITHIN_S: Final = 300
TRIES: Final = 6
PAUSE_S: Final = 1.0  # doubled after each try
PASSING: Final = frozenset({429, 502, 503, 504})
SHOWN: Final = 20  # bad lines on the screen; all that the API names go to the report


@dataclass
class State:
    """How far an import came: kept beside the user's other state, so that the same command goes on after a break."""

    offset: int = 0
    line: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unreachable: dict[str, int] = field(default_factory=dict)
    done: bool = False

    def add(self, piece: Piece, report: dict[str, Any]) -> None:
        self.offset, self.line = piece.end, piece.next_line
        for name in ("lines", "stored", "unchanged", "repeated", "failed"):
            self.counts[name] = self.counts.get(name, 0) + report[name]
        for one in report["refused"]:
            name = f"{one['field']}: {one['code']}"
            self.refused[name] = self.refused.get(name, 0) + one["lines"]
        for why, count in report["unreachable"].items():
            self.unreachable[why] = self.unreachable.get(why, 0) + count


class RefusedError(Exception):
    """The API takes none of it; the sentence says why."""


@contacts.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV with a header, or NDJSON")],
    api: Api,
    key: Key,
    kind: Annotated[str | None, typer.Option("--format", help="csv or ndjson; else by the file's name")] = None,
    encoding: Annotated[str, typer.Option(help="of a CSV: utf-8, windows-1252, iso-8859-1 or iso-8859-15")] = "utf-8",
    report: Annotated[Path | None, typer.Option(help="Where bad lines are listed; FILE.bad.csv")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="From the beginning, whatever was loaded before")] = False,
) -> None:  # fmt: skip
    """Load contacts. After a break the same command goes on where it was; loading a line twice is harmless."""
    kind = kind or ("ndjson" if file.suffix in (".ndjson", ".jsonl", ".json") else "csv")
    if kind not in ("csv", "ndjson"):
        raise typer.BadParameter("csv or ndjson", param_hint="--format")
    console = Console()
    kept = state_of(file, api, key)
    state = State() if restart else read_state(kept)
    if state.done:
        console.print("This file was loaded already: --restart loads it again.")
        raise typer.Exit(0)
    if state.offset:
        console.print(f"Going on after line {state.line:,}.", highlight=False)
    bad = report or file.with_name(file.name + ".bad.csv")
    try:
        asyncio.run(_load(file, api, key, kind, encoding, file.stat().st_size, state, kept, bad, console))
    except RefusedError as error:
        typer.echo(f"refused: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None
    _tell(console, state, bad)
    raise typer.Exit(2 if state.counts.get("failed") else 0)


async def _load(
    file: Path,
    api: str,
    key: str,
    kind: str,
    encoding: str,
    size: int,
    state: State,
    kept: Path,
    bad: Path,
    console: Console,
) -> None:
    media = "text/csv" if kind == "csv" else "application/x-ndjson"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": media}
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn(), console=console,
        disable=not console.is_terminal,
    )  # fmt: skip
    fresh = state.offset == 0
    with bad.open("w" if fresh else "a", newline="", encoding="utf-8") as listed, bar:
        writer = csv_writer.writer(listed)
        if fresh:
            writer.writerow(["line", "column", "field", "code", "why"])
        task = bar.add_task("loading", total=size, completed=state.offset)
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            for piece in pieces(file, csv=kind == "csv", offset=state.offset, line=state.line):
                query = {"line": str(piece.line), **({"encoding": encoding} if kind == "csv" else {})}
                told = await _send(session, f"{api.rstrip('/')}/v1/contacts/import", query, piece.body)
                for error in told["errors"]:
                    writer.writerow(
                        [error["line"], error["column"] or "", error["field"], error["code"], error["detail"]]
                    )
                listed.flush()
                state.add(piece, told)
                write_state(kept, state)
                done = f"{state.counts['lines']:,} lines, {state.counts['failed']:,} bad"
                bar.update(task, completed=piece.end, description=done)
        state.done = True
        write_state(kept, state)


async def _send(session: aiohttp.ClientSession, url: str, query: dict[str, str], body: bytes) -> dict[str, Any]:
    """The report of one piece. What passes is tried again; RefusedError for the rest."""
    pause = PAUSE_S
    for attempt in range(1, TRIES + 1):
        why = ""
        try:
            async with session.post(url, params=query, data=body) as answer:
                raw = await answer.read()
                if answer.status == 200:
                    told: dict[str, Any] = json.loads(raw)
                    return told
                why = _detail(raw) or f"status {answer.status}"
                if answer.status not in PASSING:
                    raise RefusedError(why)
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"the API does not answer: {type(error).__name__}"
        if attempt == TRIES:
            raise RefusedError(f"{why}. The same command goes on from here.")
        await asyncio.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable")


def _detail(raw: bytes) -> str | None:
    try:
        return str(json.loads(raw)["detail"])
    except (ValueError, KeyError, TypeError):
        return None


def state_of(file: Path, api: str, key: str) -> Path:
    """Where the state of this import is kept: another file, address or key is another import."""
    stat = file.stat()
    told = "\x1f".join((str(file.resolve()), str(stat.st_size), str(stat.st_mtime_ns), api, key))
    name = blake2b(told.encode() + first_line(file), digest_size=16).hexdigest()
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "relais" / "imports" / f"{name}.json"


def read_state(kept: Path) -> State:
    try:
        return State(**json.loads(kept.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return State()


def write_state(kept: Path, state: State) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(state)), "utf-8")
    draft.replace(kept)


def _tell(console: Console, state: State, bad: Path) -> None:
    said = Counter(state.counts)
    console.print(
        f"{said['lines']:,} lines: {said['stored']:,} stored, {said['unchanged']:,} unchanged, {said['repeated']:,} repeated, "
        f"{said['failed']:,} bad", highlight=False,
    )  # fmt: skip
    for why, count in sorted(state.unreachable.items(), key=lambda item: -item[1])[:SHOWN]:
        console.print(f"  {count:,} stored with a number that gets no SMS: {why}", highlight=False, markup=False)
    for what, count in sorted(state.refused.items(), key=lambda item: -item[1])[:SHOWN]:
        console.print(f"  {count:,} bad: {what}", highlight=False, markup=False)
    if said["failed"]:
        console.print(f"Bad lines are in {bad}", highlight=False, markup=False)


@contacts.command("export")
def export_file(
    api: Api,
    key: Key,
    file: Annotated[Path | None, typer.Argument(help="Where to; else standard output")] = None,
) -> None:
    """Write all contacts as NDJSON, as `relais contacts import` reads it."""
    asyncio.run(_export(api, key, file))


async def _export(api: str, key: str, file: Path | None) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=WITHIN_S)
    out = file.open("wb") if file is not None else sys.stdout.buffer
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"Authorization": f"Bearer {key}"}) as session,
            session.get(f"{api.rstrip('/')}/v1/contacts") as answer,
        ):
            if answer.status != 200:
                typer.echo(f"refused: {_detail(await answer.read()) or answer.status}", err=True)
                raise typer.Exit(1)
            async for chunk in answer.content.iter_any():
                out.write(chunk)
    except aiohttp.ClientError as error:
        typer.echo(f"the export broke off: {type(error).__name__}", err=True)
        raise typer.Exit(1) from None
    finally:
        if file is not None:
            out.close()

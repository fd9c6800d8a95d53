"""`relais dead`: records that nothing could handle, looked at, sent back once their cause is mended, or let go."""

import asyncio
import getpass
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from shared.kafka.redrive import DeadLetters, Waiting

dead = typer.Typer(no_args_is_help=True, help="Dead letters: list, redrive, discard.")
Bootstrap = Annotated[str, typer.Option(envvar="RELAIS_KAFKA_BOOTSTRAP", help="Kafka's address, host:port")]
Topic = Annotated[str, typer.Argument(help="The dead-letter topic, as `relais dead list` names it")]
Why = Annotated[str, typer.Option(help="The reason, kept with the letters for whoever asks later")]
By = Annotated[str, typer.Option(help="Who does this", default_factory=getpass.getuser, show_default="you")]
MOST_ERRORS = 3
T = TypeVar("T")


@dead.command("list")
def list_(bootstrap: Bootstrap) -> None:
    """What waits on each dead-letter topic, why it is there, and what was done before."""
    found = _connected(bootstrap, lambda letters: letters.waiting())
    console = Console()
    table = Table("dead-letter topic", "waiting", "oldest", "errors")
    for waiting in found:
        if waiting.letters:
            table.add_row(waiting.topic, str(waiting.letters), _moment(waiting.oldest), _errors(waiting))
    console.print(table if table.row_count else "No dead letters wait.")
    for waiting in found:
        for mark in waiting.marks:
            console.print(
                f"{mark.at} {mark.by}: {mark.letters} of {waiting.topic} {mark.action}, {mark.why}", highlight=False
            )


@dead.command()
def redrive(topic: Topic, bootstrap: Bootstrap, why: Why, by: By) -> None:
    """Send all that waits on TOPIC back to where it came from. What was handled meanwhile is taken for a repeat."""
    sent = _connected(bootstrap, lambda letters: letters.redrive(topic, by=by, why=why))
    typer.echo(f"{sent} sent back")


@dead.command()
def discard(topic: Topic, bootstrap: Bootstrap, why: Why, by: By) -> None:
    """Let all that waits on TOPIC go. It stays readable there until the topic's retention ends."""
    gone = _connected(bootstrap, lambda letters: letters.discard(topic, by=by, why=why))
    typer.echo(f"{gone} let go")


def _connected(bootstrap: str, act: Callable[[DeadLetters], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with DeadLetters(bootstrap) as letters:
            return await act(letters)

    try:
        return asyncio.run(run())
    except KeyError as error:
        typer.echo(error.args[0], err=True)
    except (KafkaError, OSError) as error:
        typer.echo(f"Kafka does not answer at {bootstrap}: {type(error).__name__}", err=True)
    raise typer.Exit(1)


def _errors(waiting: Waiting) -> str:
    most = sorted(waiting.errors.items(), key=lambda item: -item[1])
    shown = [f"{count} x {error}" for error, count in most[:MOST_ERRORS]]
    if len(most) > MOST_ERRORS:
        shown.append(f"and {len(most) - MOST_ERRORS} other errors")
    return "\n".join(shown)


def _moment(ms: int | None) -> str:
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")

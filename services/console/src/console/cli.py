"""The `relais` command. A group of subcommands is a typer app of its own, added here by one line."""

import typer

from console.contacts_command import contacts
from console.dead_command import dead
from console.route_command import route
from console.smsc.command import run_smsc

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold numbers, texts and passwords
)


@app.callback()
def _relais() -> None:
    """Relais from the command line."""


app.command("smsc")(run_smsc)
app.add_typer(contacts, name="contacts")
app.add_typer(dead, name="dead")
app.add_typer(route, name="route")


def main() -> None:
    """The entry point of `relais`."""
    app()

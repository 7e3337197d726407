"""`berth …`: every process of Berth, and its daily tasks from a terminal.

The commands are in `cli/commands/`; here they are put together. What is not as it should be ends in one
sentence and an exit code.
"""

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from cli.commands import (
    charger_files,
    charger_password,
    chargers,
    encryption,
    keys,
    messages,
    processes,
    reservations,
    tokens,
    webhooks,
)
from cli.commands.ending import EXIT_CODES

RESERVATIONS, DATABASE, PROCESSES = "Reservations", "Database", "Processes"

app = typer.Typer(
    help="Durable reservations of EV charging ports over OCPP 1.6 and 2.0.1.\n\n"
    "The commands about reservations and the database ask the API at BERTH_URL (default: the one on this "
    "machine) with BERTH_API_KEY (default: the key of `berth up`).",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from berth import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the release, and no more."
        ),
    ] = False,
) -> None:
    """What may stand before a command."""


for command in (reservations.reserve, reservations.cancel, reservations.show):
    app.command(rich_help_panel=RESERVATIONS)(command)
app.command("list", rich_help_panel=RESERVATIONS)(reservations.list_reservations)

chargers.app.command("import")(charger_files.import_chargers)
chargers.app.command("rotate-password")(charger_password.rotate_password)
chargers.app.command("export")(charger_files.export_chargers)
for name, group in (
    ("charger", chargers.app),
    ("key", keys.app),
    ("token", tokens.app),
    ("webhook", webhooks.app),
):
    app.add_typer(group, name=name, rich_help_panel=DATABASE)
app.command(rich_help_panel=DATABASE)(messages.messages)

for process in (
    processes.up,
    processes.api,
    processes.gateway,
    processes.worker,
    processes.migrate,
    processes.search_attributes,
    processes.simulate,
    processes.control,
    processes.doctor,
    encryption.payload_key,
    encryption.codec_server,
):
    app.command(rich_help_panel=PROCESSES)(process)


def main() -> None:
    """The command `berth`. What is not as it should be ends in one sentence and exit code 2."""
    try:
        app(prog_name="berth")
    except Exception as error:
        from cli.problem import EXIT_CODE, sentence_for

        sentence = sentence_for(error)
        if sentence is None:
            raise
        for line in sentence.splitlines():
            typer.echo(f"berth: {line}", err=True)
        sys.exit(EXIT_CODE)


def run() -> NoReturn:
    """`main` as a program of its own: it ends without taking the interpreter apart.

    The Temporal SDK's native threads may still call into Python then, which aborts the process.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)

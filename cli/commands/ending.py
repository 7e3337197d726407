"""How a command ends: its exit codes, and the one line that says why."""

from typing import NoReturn

import typer

DONE = 0
REFUSED = 1
WRONG_USE = 2
NO_ANSWER = 3
PENDING = 4
INTERRUPTED = 130

EXIT_CODES = {
    DONE: "done",
    REFUSED: "refused, by Berth or the charger, or `berth doctor` found something wrong",
    WRONG_USE: "wrong command line or setting, or a process that cannot start or go on",
    NO_ANSWER: "Berth does not answer, or cannot at the moment",
    PENDING: "not known yet (`Pending`), Berth keeps at it",
    INTERRUPTED: "interrupted (Ctrl-C)",
}
"""What each exit code means, for people."""

_UNAUTHORIZED, _TOO_MANY, _FAULT = 401, 429, 500


def exit_code_for(status: int) -> int:
    """The exit code for an error of the API with this HTTP status."""
    if status == _UNAUTHORIZED:
        return WRONG_USE  # BERTH_API_KEY is a setting
    return NO_ANSWER if status == _TOO_MANY or status >= _FAULT else REFUSED


def exit_code_of(outcome: str) -> int:
    """The exit code for the status of a reservation or a cancel."""
    return {"Accepted": DONE, "Pending": PENDING}.get(outcome, REFUSED)


def say(sentence: str) -> None:
    """Tell people something that is no part of the result."""
    typer.echo(f"berth: {sentence}", err=True)


def end(sentence: str, code: int = REFUSED) -> NoReturn:
    """End the command with a sentence."""
    say(sentence)
    raise typer.Exit(code)

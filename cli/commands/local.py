"""What this machine's environment says: Berth's settings, instants and passwords as people give them."""

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from berth.settings import Settings


def settings() -> "Settings":
    """Berth's settings. Raises pydantic's ValidationError."""
    from berth.settings import Settings

    return Settings()


def process_settings() -> "Settings":
    """The same for what speaks to Temporal: without an address it is the server of `berth up`."""
    found = settings()
    if "temporal_port" in found.model_fields_set:
        os.environ.setdefault("TEMPORAL_ADDRESS", f"127.0.0.1:{found.temporal_port}")
    return found


def instant(text: str, option: str) -> datetime:
    """When: a duration from now, or an instant. Raises BadParameter."""
    from cli.instants import instant

    try:
        return instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def instant_past(text: str | None, option: str) -> datetime | None:
    """When: a duration ago, or an instant. Raises BadParameter."""
    from cli.instants import instant_past

    try:
        return None if text is None else instant_past(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def password(given: str | None) -> str | None:
    """The password; "-" reads it, so that no list of processes shows it: from a terminal unseen, or a line.

    Raises BadParameter when there is no line.
    """
    if given != "-":
        return given
    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise typer.BadParameter("there is no line on standard input", param_hint="--password")
    return line

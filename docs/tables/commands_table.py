"""The lists in docs/reference/commands.md: `python -m docs.tables.commands_table` has Typer write them."""

import html
import subprocess
import sys
from pathlib import Path

from cli.commands.ending import EXIT_CODES
from docs.tables import written_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "commands.md"


def commands_table() -> str:
    """The exit codes, and every command with its arguments and options, as Markdown."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    command = [sys.executable, "-m", "typer", "cli.app", "utils", "docs", "--name", "berth"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    _, title, commands = html.unescape(written).partition("\n## ")
    return f"| exit code | |\n|---|---|\n{codes}{title}{commands.rstrip()}\n"


def with_table(page: str) -> str:
    """The page with the lists as they must be. Raises ValueError when their marks are missing."""
    return written_table.with_table(page, "commands", commands_table())


def main() -> None:
    """Write them."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()

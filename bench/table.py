"""The table of a run: machine, revision, and for each figure its target and whether it holds."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One line; figures without a target are there to be read with the others."""

    what: str
    value: str
    target: str = ""
    holds: bool | None = None


def show(figures: list[Figure]) -> None:
    """Print the figures on stdout."""
    table = Table()
    for column in ("what", "measured", "target", "holds"):
        table.add_column(column, no_wrap=True)
    for figure in figures:
        holds = "" if figure.holds is None else "yes" if figure.holds else "NO"
        table.add_row(figure.what, figure.value, figure.target, holds)
    console = Console(highlight=False, width=max(120, Console().width))
    console.print(f"Berth {_revision()} on {_machine()}")
    console.print(table)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def _revision() -> str:
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "of unknown revision"

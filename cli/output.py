"""What the commands show: tables for people, JSON for programs."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "active": "green",
    "used": "green",
    "delivered": "green",
    "pending": "yellow",
    "given_up": "red",
    "Accepted": "green",
    "online": "green",
    "ok": "green",
    "sending": "yellow",
    "Pending": "yellow",
    "unknown": "yellow",
    "attention": "yellow",
    "failed": "red",
    "rejected": "red",
    "Rejected": "red",
    "wrong": "red",
    "offline": "red",
}


def show_json(value: object) -> None:
    """Write it as indented JSON; records become objects, instants ISO 8601."""
    _write(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def show_json_line(value: object) -> None:
    """The same in one line, at once: for what comes one by one."""
    _write(compact_json(value))


def compact_json(value: object) -> str:
    """JSON without room, for a cell or a line."""
    return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False)


def show_line(*values: object) -> None:
    """Write values in one line, at once; those that are unknown are left out."""
    known = (_cell(value) for value in values if value not in (None, ""))
    _console().print(Text("  ").join(known), soft_wrap=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Write rows under their column heads, or the sentence `empty` when there are none."""
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = _console()
    if table.row_count:
        console.print(table)
    else:
        console.print(empty, markup=False)


def show_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Write one line for each name and value that is known."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields:
        if value is not None:
            table.add_row(Text(name, "bold"), _cell(value))
    _console().print(table)


def _write(text: str) -> None:
    # Not by Rich: it would read the text of a value as its own signs (":car:").
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 240  # a pipe has no edge to wrap at
    return console


def _cell(value: object) -> Text:
    if value is None:
        return Text("–", "dim")
    text = f"{value:%Y-%m-%d %H:%M:%S}Z" if isinstance(value, datetime) else _harmless(str(value))
    return Text(text, _STYLES.get(text, ""))


def _harmless(text: str) -> str:
    """Without what a terminal would obey: some of it comes from chargers."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")

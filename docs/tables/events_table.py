"""The table in docs/reference/events.md: `python -m docs.tables.events_table` writes it from the signals."""

from pathlib import Path

from docs.tables import written_table
from gateway.charger_events import SIGNALS
from workflows.messages import Event

PAGE = Path(__file__).parents[1] / "reference" / "events.md"


def events_table() -> str:
    """Every signal that a gateway sends, with its fields, as Markdown."""
    lines = ["| signal | sent when | fields |", "|---|---|---|"]
    for signal, record in SIGNALS.items():
        fields = ", ".join(f"`{name}`" for name in record.model_fields if name not in Event.model_fields)
        lines.append(f"| `{signal}` | {' '.join((record.__doc__ or '').split())} | {fields} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it must be. Raises ValueError when its marks are missing."""
    return written_table.with_table(page, "events", events_table())


def main() -> None:
    """Write it."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()

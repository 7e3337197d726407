"""The table in docs/explanation/life-of-a-reservation.md: `python -m docs.tables.steps_table` writes it."""

from pathlib import Path

from docs.tables import written_table
from workflows.reservation.precedence import PRECEDENCE

PAGE = Path(__file__).parents[1] / "explanation" / "life-of-a-reservation.md"


def steps_table() -> str:
    """The steps of a reservation in their order, with the reason for each place, as Markdown."""
    lines = ["| | step | why it stands here |", "|---|---|---|"]
    lines += [f"| {place} | {row.name} | {row.reason} |" for place, row in enumerate(PRECEDENCE, 1)]
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it must be. Raises ValueError when its marks are missing."""
    return written_table.with_table(page, "steps", steps_table())


def main() -> None:
    """Write it."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()

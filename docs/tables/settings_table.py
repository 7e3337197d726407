"""The table in docs/reference/settings.md: `python -m docs.tables.settings_table` writes it."""

from pathlib import Path
from typing import Literal, get_args, get_origin

from berth.settings import Settings
from docs.tables import written_table

PAGE = Path(__file__).parents[1] / "reference" / "settings.md"


def settings_table() -> str:
    """Every setting with its default and what it does, as Markdown."""
    lines = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = (
            ""
            if field.default is None or field.default_factory is not None
            else f"`{str(field.default).lower()}`"
        )
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        among = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
        lines.append(f"| `BERTH_{name.upper()}` | {default} | {field.description}{among} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it must be. Raises ValueError when its marks are missing."""
    return written_table.with_table(page, "settings", settings_table())


def main() -> None:
    """Write it."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()

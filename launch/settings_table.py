"""The table of settings in the README: `python -m launch.settings_table` writes it from settings.py."""

import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

from settings import Settings

README = Path(__file__).parent.parent / "README.md"
_BEGIN = "<!-- settings: written by `python -m launch.settings_table`, held by a test -->\n"
_END = "<!-- end of settings -->\n"


def settings_table() -> str:
    """Every setting with its default and what it does, as Markdown."""
    lines = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{str(field.default).lower()}`"
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        among = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
        lines.append(f"| `BERTH_{name.upper()}` | {default} | {field.description}{among} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str) -> str:
    """The README with the table as it must be. Raises ValueError when its marks are missing."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the README has no place for the table of settings")
    return f"{before}{begin}{settings_table()}{end}{after}"


def main() -> None:
    """Write it."""
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
    sys.stdout.write(f"{README} is up to date.\n")


if __name__ == "__main__":
    main()

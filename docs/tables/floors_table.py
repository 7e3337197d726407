"""The picture of the floors in CONTRIBUTING.md: `python -m docs.tables.floors_table` draws it.

The floors are those of the contract in pyproject.toml; what stands beside each folder is its docstring.
"""

import ast
import tomllib
from pathlib import Path

from docs.tables import written_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "CONTRIBUTING.md"


def floors() -> list[list[str]]:
    """The rooms of each floor, from the top."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    contracts = tool["importlinter"]["contracts"]
    layers: list[str] = next(contract["layers"] for contract in contracts if contract["name"] == "floors")
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def floors_table() -> str:
    """The floors as a picture, then a sentence for each room."""
    rows = ["   ".join(f"[ {room} ]" for room in floor) for floor in floors()]
    width = max(map(len, rows))
    arrow = "\n" + "│".center(width).rstrip() + "\n" + "▼".center(width).rstrip() + "\n"
    picture = arrow.join(row.center(width).rstrip() for row in rows)
    lines = [f"- `{_shown(room)}`: {_first_sentence(room)}" for floor in floors() for room in floor]
    lines.append(f"- `{_shown('simulator')}`, which knows none of them: {_first_sentence('simulator')}")
    return f"```text\n{picture}\n```\n\n" + "\n".join(lines) + "\n"


def _shown(room: str) -> str:
    return f"{room}.py" if (ROOT / f"{room}.py").exists() else f"{room}/"


def _first_sentence(room: str) -> str:
    file = ROOT / f"{room}.py"
    source = (file if file.exists() else ROOT / room / "__init__.py").read_text("utf-8")
    docstring = ast.get_docstring(ast.parse(source))
    if docstring is None:
        raise ValueError(f"{room} does not say what it is")
    return docstring.partition("\n")[0]


def with_table(page: str) -> str:
    """The page with the picture as it must be. Raises ValueError when its marks are missing."""
    return written_table.with_table(page, "floors", floors_table())


def main() -> None:
    """Draw it."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()

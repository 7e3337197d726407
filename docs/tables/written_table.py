"""Tables of the documentation that are written from the code: each between two marks of its page."""

import sys
from collections.abc import Callable
from pathlib import Path


def with_table(page: str, what: str, table: str) -> str:
    """The page with its table of `what` (settings, metrics) as given.

    Raises ValueError when its marks are missing.
    """
    before, begin, rest = page.partition(
        f"<!-- {what}: written by `python -m docs.tables.{what}_table`, held by a test -->\n"
    )
    _, end, after = rest.partition(f"<!-- end of {what} -->\n")
    if not begin or not end:
        raise ValueError(f"the page has no place for the table of {what}")
    return f"{before}{begin}{table}{end}{after}"


def write(page: Path, renewed: Callable[[str], str]) -> None:
    """Write the page as `renewed` has it."""
    page.write_text(renewed(page.read_text("utf-8")), "utf-8")
    sys.stdout.write(f"{page} is up to date.\n")

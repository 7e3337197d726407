"""Refuses a built site that would fetch anything from elsewhere: `python docs/offline.py build/docs`.

Scripts, styles, fonts and pictures must lie in the folder; links that a reader may follow may lead out.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "link": "href"}
NOT_FETCHED = ("canonical", "next", "prev", "index", "search", "author")  # kinds of <link> a reader follows
ELSEWHERE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:[a-z]+:)?//[^"')\s]+)""", re.IGNORECASE)


class _Page(HTMLParser):
    """Collects what a browser would fetch from another host to show the page."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "link" and attributes.get("rel") in NOT_FETCHED:
            return
        address = attributes.get(FETCHED.get(tag, "")) or ""
        if ELSEWHERE.match(address):
            self.foreign.append(address)


def foreign_in(file: Path) -> list[str]:
    """The addresses on other hosts that the page or style sheet fetches."""
    text = file.read_text("utf-8")
    page = _Page()
    if file.suffix != ".css":
        page.feed(text)
    return page.foreign + IN_STYLES.findall(text)


def main(site: Path) -> int:
    """The exit code: 0 when nothing of the site comes from elsewhere."""
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css", ".svg")]
    found = [f"{file}: fetches {address}" for file in files for address in foreign_in(file)]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

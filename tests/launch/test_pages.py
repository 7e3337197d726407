"""What the pages of the documentation promise is there; `make docs` holds their links to one another."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from berth.settings import Settings
from cli import app as cli
from cli.doctor import OTHER_VARIABLES
from tests.launch.commands import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
FRONT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
SETTINGS = {f"BERTH_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES

pages = pytest.mark.parametrize("page", PAGES + FRONT_PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def commands_in(page: Path) -> set[str]:
    """The commands of `berth` that it shows."""
    return set(re.findall(r"(?:^|[&`/(] ?)berth ([a-z][a-z-]+)", page.read_text("utf-8"), re.MULTILINE))


@pages
def test_every_command_it_shows_exists(page: Path) -> None:
    commands = set(get_command(cli.app).commands)  # type: ignore[attr-defined]  # it is a group
    assert commands_in(page) <= commands


def test_the_front_page_shows_the_main_commands() -> None:
    main = {"up", "reserve", "cancel", "show", "doctor", "gateway", "search-attributes"}
    assert main <= commands_in(ROOT / "README.md")


@pages
def test_every_setting_it_names_exists(page: Path) -> None:
    assert set(re.findall(r"\bBERTH_[A-Z_]+[A-Z]\b", page.read_text("utf-8"))) <= SETTINGS


@pages
def test_its_links_to_elsewhere_are_https(page: Path) -> None:
    for address in re.findall(r"\]\((http:[^)]+)\)", page.read_text("utf-8")):
        assert address.startswith("http://127.0.0.1"), address


def test_the_front_of_the_documentation_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", index))
    assert {str(page.relative_to(ROOT / "docs")) for page in PAGES} - {"index.md"} <= linked

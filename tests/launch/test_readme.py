"""What the front pages promise is there."""

import re
import subprocess
import tomllib

from typer.main import get_command

import cli
from launch.settings_table import README, with_table
from tests.launch.commands import ROOT


def front_page() -> str:
    return README.read_text("utf-8")


def test_its_table_of_settings_is_that_of_the_code() -> None:
    assert front_page() == with_table(front_page()), "run python -m launch.settings_table"


def test_every_command_it_shows_exists() -> None:
    commands = set(get_command(cli.app).commands)  # type: ignore[attr-defined]  # it is a group
    shown = set(re.findall(r"(?:^|[&`/(] ?)berth ([a-z][a-z-]+)", front_page(), re.MULTILINE))
    assert shown <= commands
    assert {"up", "reserve", "cancel", "show", "doctor", "gateway", "search-attributes"} <= shown


def test_every_link_into_the_repository_leads_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text("utf-8")):
            assert (ROOT / target).exists(), f"{page}: {target}"


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    for path in re.findall(
        r"`((?:[a-z_]+/)+[\w./-]*|[a-z_]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    ):
        assert (ROOT / path).exists(), path


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("up", "test", "check", "bench", "format", "lock"):
        assert f"make {target} " in listed


def test_the_changelog_knows_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert re.search(
        rf"^## .*\b{re.escape(project['version'])}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )

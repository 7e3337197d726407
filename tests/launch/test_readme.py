"""What the front pages promise is there."""

import re
import subprocess

from berth import __version__
from tests.launch.commands import ROOT


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    for path in re.findall(
        r"`((?:[a-z_]+/)+[\w./-]*|[a-z_]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    ):
        assert (ROOT / path).exists(), path


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("up", "test", "test-unit", "check", "docs", "bench", "format", "lock"):
        assert f"make {target} " in listed


def test_the_changelog_knows_the_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## .*\b{re.escape(__version__)}\b", changes, re.MULTILINE)

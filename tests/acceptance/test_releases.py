"""An archive of a release has all of its code."""

import tomllib

from tests.acceptance.releases import CODE
from tests.launch.commands import ROOT


def test_an_archive_has_everything_but_the_simulator() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in tool["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in tool["py-modules"]}
    assert set(CODE) == (packages | modules) - {"simulator"}

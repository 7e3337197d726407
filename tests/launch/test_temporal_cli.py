"""The search for the Temporal tool, with executables that only play it."""

import threading
from pathlib import Path

import pytest

from berth.errors import StartError
from cli.up import temporal_cli
from cli.up.temporal_cli import CLI_VERSION, NoTemporalCli, find_temporal_cli
from tests.launch import fake_programs


class Place:
    """A machine with an empty PATH, an empty cache and no network."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.cached = folder / "cache" / "berth" / f"temporal-{CLI_VERSION}"
        self.built = folder / "built.log"
        self.downloader = folder / "downloader.py"
        self.said: list[str] = []

    def find(self, configured: Path | None = None) -> Path:
        return find_temporal_cli(configured, self.said.append)

    def builds(self) -> int:
        return len(self.built.read_text().splitlines()) if self.built.exists() else 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    place.bin.mkdir()
    place.downloader.write_text("import sys; sys.exit('no network')")
    monkeypatch.delenv("BERTH_TEMPORAL_CLI", raising=False)
    monkeypatch.setenv("PATH", str(place.bin))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(temporal_cli, "_DOWNLOADER", place.downloader)
    return place


def test_the_configured_tool_comes_before_all_others(place: Place, tmp_path: Path) -> None:
    mine = fake_programs.temporal(tmp_path / "mine", "1.10.0")
    fake_programs.temporal(place.bin / "temporal")
    assert place.find(mine) == mine


def test_the_variable_configures_it_too(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = fake_programs.temporal(tmp_path / "mine")
    monkeypatch.setenv("BERTH_TEMPORAL_CLI", str(mine))
    assert place.find() == mine


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'temporal version 1.8.2 (Server 1.31.2, UI 2.50.0)'", "is 1.8.2, older than 1.9.1"),
        ("echo 'a clock'", "does not say"),
        (None, "does not exist"),
    ],
)
def test_a_configured_tool_that_is_no_good_ends_the_search(
    place: Place, tmp_path: Path, script: str | None, why: str
) -> None:
    mine = tmp_path / "mine"
    if script:
        fake_programs.executable(mine, script)
    fake_programs.temporal(place.bin / "temporal")
    with pytest.raises(StartError, match=f"^BERTH_TEMPORAL_CLI: .*{why}"):
        place.find(mine)


@pytest.mark.parametrize("version", ["1.9.1", "1.10.0", "2.0.0"])
def test_a_tool_on_path_that_is_new_enough_is_taken(place: Place, version: str) -> None:
    found = fake_programs.temporal(place.bin / "temporal", version)
    fake_programs.temporal(place.cached)
    assert place.find() == found
    assert place.said == []


def test_a_tool_on_path_that_is_older_is_passed_over_with_a_word(place: Place) -> None:
    old = fake_programs.temporal(place.bin / "temporal", "1.9.0", "1.31.2")
    fake_programs.temporal(place.cached)
    assert place.find() == place.cached
    assert place.said == [f"Passing over {old}: it is 1.9.0, older than 1.9.1."]


def test_a_tool_without_a_version_is_judged_by_its_server(place: Place) -> None:
    found = fake_programs.temporal(place.bin / "temporal", "0.0.0-DEV", "1.32.0")
    assert place.find() == found


def test_what_the_sdk_downloads_goes_into_the_cache(place: Place, tmp_path: Path) -> None:
    fake_programs.go(place.bin / "go", place.built)
    ready = fake_programs.temporal(tmp_path / "ready")
    place.downloader.write_text(f"import shutil, sys; shutil.copy({str(ready)!r}, sys.argv[2])")
    assert place.find() == place.cached
    assert place.find() == place.cached
    assert place.builds() == 0


def test_a_download_that_brings_nothing_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal_cli, "FIRST_BYTE", 0.2)
    place.downloader.write_text("import time; time.sleep(60)")
    fake_programs.go(place.bin / "go", place.built)
    assert place.find() == place.cached
    assert any("the SDK's download: nothing arrived" in line for line in place.said)


def test_go_builds_it_once(place: Place) -> None:
    fake_programs.go(place.bin / "go", place.built)
    assert place.find() == place.cached
    assert place.find() == place.cached
    assert place.builds() == 1
    leftovers = {path.name for path in place.cached.parent.iterdir()}
    assert leftovers == {place.cached.name, f"{place.cached.name}.lock"}


def test_a_long_build_says_how_it_goes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal_cli, "SAY_EVERY", 0.1)
    fake_programs.go(place.bin / "go", place.built, seconds=0.5)
    place.find()
    assert any("0:00  1 steps, now go.temporal.io/server/api" in line for line in place.said)


def test_two_searches_at_once_build_once(place: Place) -> None:
    fake_programs.go(place.bin / "go", place.built, seconds=0.5)
    found: list[Path] = []
    searches = [threading.Thread(target=lambda: found.append(place.find())) for _ in range(2)]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    assert found == [place.cached, place.cached]
    assert place.builds() == 1
    assert "Another process is getting the Temporal CLI; waiting for it." in place.said


def test_a_broken_tool_in_the_cache_is_made_anew(place: Place) -> None:
    fake_programs.executable(place.cached, "exit 1")
    fake_programs.go(place.bin / "go", place.built)
    assert place.find() == place.cached
    assert place.builds() == 1


def test_the_error_names_all_five_ways_and_why_each_failed(place: Place) -> None:
    fake_programs.executable(place.bin / "go", "echo 'no space left on device' >&2; exit 1")
    with pytest.raises(NoTemporalCli) as caught:
        place.find()
    assert dict(caught.value.tried) == {
        "BERTH_TEMPORAL_CLI": "not set",
        "temporal on PATH": "not found",
        "cache": f"{place.cached} does not exist",
        "the SDK's download": "no network",
        "go build": "ended with exit code 1: no space left on device",
    }
    assert all(way in str(caught.value) for way, _ in caught.value.tried)
    assert "TEMPORAL_ADDRESS" in str(caught.value)


def test_without_go_the_error_says_so(place: Place) -> None:
    with pytest.raises(NoTemporalCli, match="go build: Go is not installed"):
        place.find()

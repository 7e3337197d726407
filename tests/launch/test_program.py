"""Programs that are kept running, and that leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.up import program
from cli.up.parent_death import mortal
from cli.up.program import Program, RunningProgram
from tests.launch.waiting import until, until_async


class Stage:
    """Starts programs and collects what they say."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.running: list[RunningProgram] = []

    def start(self, script: str, stop_within: float = 5.0, log: Path | None = None) -> RunningProgram:
        command = ["/bin/sh", "-c", script]
        running = RunningProgram(
            Program("it", command, os.environ, stop_within, log),
            lambda name, line: self.lines.append(f"{name}: {line}"),
        )
        self.running.append(running)
        return running


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for running in stage.running:
        await running.stop()


def is_gone(pid: int) -> bool:
    """Whether no such process runs; a zombie that nobody has asked about is gone too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_its_lines_are_passed_on_with_its_name(stage: Stage) -> None:
    stage.start("echo one; echo two >&2; printf three; exec sleep 60")
    await until_async("two lines", lambda: len(stage.lines) == 2)
    assert stage.lines == ["it: one", "it: two"]


async def test_one_that_dies_is_started_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PAUSES", (0.05,))
    running = stage.start("echo hello; exec sleep 60")
    await until_async("its first start", lambda: "it: hello" in stage.lines)
    first = running.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until_async("its second start", lambda: stage.lines.count("it: hello") == 2)
    assert running.pid not in (None, first)
    assert "it: ended (SIGKILL); starts again in 0 s" in stage.lines
    assert await running.first_death == -signal.SIGKILL


async def test_one_that_dies_again_and_again_waits_longer_each_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "PAUSES", (0.01, 0.02, 30.0))
    stage.start("exit 3")
    await until_async("three deaths", lambda: len(stage.lines) == 3)
    assert stage.lines[-1] == "it: ended (exit code 3); starts again in 30 s"


async def test_a_stop_takes_what_it_started_with_it(stage: Stage, tmp_path: Path) -> None:
    running = stage.start(f"sleep 60 & echo $! > {tmp_path}/pid; echo ready; wait")
    await until_async("its child", lambda: "it: ready" in stage.lines)
    child = int((tmp_path / "pid").read_text())
    await running.stop()
    assert running.pid is None
    await until_async("the end of its child", lambda: is_gone(child))


async def test_one_that_will_not_end_is_killed(stage: Stage) -> None:
    running = stage.start("trap '' TERM; echo ready; while true; do sleep 0.05; done", stop_within=0.2)
    await until_async("its start", lambda: "it: ready" in stage.lines)
    await running.stop()
    assert running.pid is None


async def test_a_stop_between_two_starts_does_not_wait(stage: Stage) -> None:
    running = stage.start("exit 1")
    await until_async("its death", lambda: len(stage.lines) == 1)
    await running.stop()
    assert running.pid is None


async def test_its_words_can_go_to_a_file(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    stage.start("echo hello; exec sleep 60", log=log)
    await until_async("its word", lambda: log.exists() and log.read_text() == "hello\n")
    assert stage.lines == []


def test_a_mortal_child_dies_with_a_parent_that_is_killed() -> None:
    if sys.platform != "linux":  # which alone tells a child of its parent's death
        assert mortal(["sleep", "60"]) == ["sleep", "60"]
        return
    script = (
        "import subprocess, sys\n"
        "from cli.up.parent_death import mortal\n"
        "child = subprocess.Popen(mortal(['sleep', '60']), start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        until("the child becomes sleep", lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes())
        parent.kill()
        until("the child's end", lambda: is_gone(child))


def test_a_mortal_command_that_does_not_exist_says_so() -> None:
    run = subprocess.run(mortal(["/no/such/program"]), capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == "/no/such/program: No such file or directory\n"

"""Finds the Temporal command line tool, or makes it: its development server is what `berth up` starts.

In this order: the setting BERTH_TEMPORAL_CLI, `temporal` on PATH, our cache, the SDK's download, `go build`.
Nobody who has set TEMPORAL_ADDRESS needs any of this.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import structlog

from berth.errors import StartError
from cli.up.parent_death import mortal

log = structlog.get_logger(__name__)

Say = Callable[[str], None]
"""Takes one line for people: what is being tried, what is passed over and why."""

CLI_VERSION = "1.9.1"
"""What we download or build, and the oldest we take: the first with per-workflow time skipping."""

OLDEST_SERVER = (1, 32, 0)
"""The server inside that version; a tool built without a version of its own is judged by this."""

RECIPE = Path(__file__).with_name("temporal")
"""Folder of the Go module that pins the tool and everything it is built from."""

FIRST_BYTE = 15.0
"""Seconds until a download must show something; a closed network may swallow packets silently."""

DOWNLOAD = 300.0
"""Seconds a download may take (about 60 MB)."""

SAY_EVERY = 10.0
"""Seconds between two words about a build."""

_DOWNLOADER = Path(__file__).with_name("temporal_download.py")
_PACKAGE = "github.com/temporalio/cli/cmd/temporal"
_LINKER_FLAGS = f"-s -w -X github.com/temporalio/cli/internal/temporalcli.Version={CLI_VERSION}"
_VERSION = re.compile(r"temporal version (\d+)\.(\d+)\.(\d+)\S*(?: \(Server (\d+)\.(\d+)\.(\d+))?")


class NoTemporalCli(StartError):
    """All five ways failed; says why each did."""

    def __init__(self, tried: list[tuple[str, str]]) -> None:
        self.tried = tried
        ways = "\n".join(f"  {way}: {why}" for way, why in tried)
        super().__init__(
            f"no Temporal server to start. Tried, in this order:\n{ways}\n"
            f"Put Temporal CLI {CLI_VERSION} or newer in one of these places, "
            "or set TEMPORAL_ADDRESS to a Temporal that runs already."
        )


class _PassedOver(Exception):
    """One way does not lead to a tool; the text says why."""


def _say_to_log(line: str) -> None:
    log.info("temporal_cli", step=line)


def find_temporal_cli(configured: Path | None = None, say: Say = _say_to_log) -> Path:
    """The path of a Temporal command line tool that is new enough.

    `configured` is the setting BERTH_TEMPORAL_CLI, by default as the environment has it. May take minutes
    the first time, when it has to build. Raises NoTemporalCli when there is none to be had, StartError
    when the configured one is no good.
    """
    configured = configured or _from_environment()
    if configured is not None:
        return _configured(configured)
    tried: list[tuple[str, str]] = [("BERTH_TEMPORAL_CLI", "not set")]
    present = _present(tried, say)
    if present is not None:
        return present
    say(f"No Temporal CLI {CLI_VERSION} or newer here yet; getting one.")
    cached = _cached()
    with _alone(cached.with_name(f"{cached.name}.lock"), say):
        made_meanwhile = _present([], say)
        if made_meanwhile is not None:
            return made_meanwhile
        for way, make in (("the SDK's download", _download), ("go build", _build)):
            try:
                with tempfile.TemporaryDirectory(dir=cached.parent, prefix="making-") as folder:
                    os.replace(_checked(make(Path(folder), say)), cached)
                say(f"Temporal CLI {CLI_VERSION} is ready: {cached}")
                return cached
            except _PassedOver as error:
                say(f"{way}: {error}")
                tried.append((way, str(error)))
    raise NoTemporalCli(tried)


def present_temporal_cli(configured: Path | None = None, say: Say = _say_to_log) -> Path | None:
    """The same, only among those that are here already: nothing is downloaded or built.

    Raises StartError when the configured one is no good.
    """
    configured = configured or _from_environment()
    return _configured(configured) if configured is not None else _present([], say)


def _from_environment() -> Path | None:
    path = os.environ.get("BERTH_TEMPORAL_CLI")
    return Path(path) if path else None


def _configured(path: Path) -> Path:
    try:
        return _checked(path)
    except _PassedOver as error:
        raise StartError(f"BERTH_TEMPORAL_CLI: {path} {error}") from error


def _present(tried: list[tuple[str, str]], say: Say) -> Path | None:
    places = (("temporal on PATH", shutil.which("temporal")), ("cache", _cached()))
    for way, found in places:
        if found is None or not Path(found).exists():
            tried.append((way, "not found" if found is None else f"{found} does not exist"))
            continue
        try:
            return _checked(Path(found))
        except _PassedOver as error:
            say(f"Passing over {found}: it {error}.")
            tried.append((way, f"{found} {error}"))
    return None


def cache_folder() -> Path:
    """Where a downloaded or built tool is kept: $XDG_CACHE_HOME/berth, by default ~/.cache/berth."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "berth"


def _cached() -> Path:
    return cache_folder() / f"temporal-{CLI_VERSION}"


def _checked(path: Path) -> Path:
    """The path itself when it is a Temporal tool that is new enough, else _PassedOver."""
    try:
        run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError as error:
        raise _PassedOver("does not exist") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _PassedOver(f"does not run ({type(error).__name__})") from error
    match = _VERSION.search(run.stdout)
    if match is None:
        raise _PassedOver("does not say `temporal version …` when asked for its --version")
    numbers = [int(number) if number else 0 for number in match.groups()]
    oldest = tuple(map(int, CLI_VERSION.split(".")))
    if tuple(numbers[:3]) < oldest and tuple(numbers[3:]) < OLDEST_SERVER:
        raise _PassedOver(f"is {match[1]}.{match[2]}.{match[3]}, older than {CLI_VERSION}")
    return path


@contextmanager
def _alone(lock: Path, say: Say) -> Iterator[None]:
    """Keeps others from making the same tool at once; the lock goes with the process that holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is getting the Temporal CLI; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(folder: Path, say: Say) -> Path:
    say(f"Downloading Temporal CLI {CLI_VERSION} …")
    with subprocess.Popen(
        mortal([sys.executable, "-P", str(_DOWNLOADER), CLI_VERSION, str(folder)]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        started = time.monotonic()
        while process.poll() is None:
            elapsed = time.monotonic() - started
            if elapsed > DOWNLOAD or (elapsed > FIRST_BYTE and not any(folder.iterdir())):
                process.kill()
                raise _PassedOver(f"nothing arrived within {elapsed:.0f} s")
            time.sleep(0.1)
        complaint = process.stderr.read() if process.stderr else ""
    found = [path for path in folder.iterdir() if os.access(path, os.X_OK)]
    if process.returncode != 0 or not found:
        raise _PassedOver(complaint.strip().splitlines()[-1] if complaint.strip() else "brought nothing")
    return found[0]


def _build(folder: Path, say: Say) -> Path:
    if shutil.which("go") is None:
        raise _PassedOver("Go is not installed (`go` is not on PATH)")
    if not (RECIPE / "go.mod").exists():
        raise _PassedOver(f"the recipe {RECIPE} is not here")
    say(
        f"Building Temporal CLI {CLI_VERSION} with Go: about 5 minutes and 4 GB of disk, the first time only."
    )
    target = folder / "temporal"
    process = subprocess.Popen(
        mortal(["go", "build", "-v", "-trimpath", "-ldflags", _LINKER_FLAGS, "-o", str(target), _PACKAGE]),
        cwd=RECIPE,
        env=os.environ | {"CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        lines = _narrate(process, say)
    if process.returncode != 0:
        reason = lines[-1] if lines else "no reason given"
        raise _PassedOver(f"ended with exit code {process.returncode}: {reason}")
    return target


def _narrate(process: subprocess.Popen[str], say: Say) -> list[str]:
    """Says how long it takes and what go says last, until it ends; returns all it said."""
    lines: list[str] = []

    def read() -> None:
        for line in process.stderr or ():
            lines.append(line.strip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    started = time.monotonic()
    while reader.is_alive():
        reader.join(SAY_EVERY)
        if reader.is_alive():
            minutes, seconds = divmod(int(time.monotonic() - started), 60)
            say(f"  {minutes}:{seconds:02}  {len(lines)} steps, now {lines[-1] if lines else 'starting'}")
    process.wait()
    return lines


def main() -> None:
    """`python -m cli.up.temporal_cli`: makes sure that there is one and says where; tests begin with it."""
    try:
        found = find_temporal_cli(say=lambda line: _write(sys.stderr, line))
    except StartError as error:
        sys.exit(f"berth: {error}")
    _write(sys.stdout, str(found))


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()


if __name__ == "__main__":
    main()

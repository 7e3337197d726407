"""Processes under test: each with its log in a temporary folder, all of them gone at the end."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.up.parent_death import mortal

READY_WITHIN = 60.0  # seconds
STOP_WITHIN = 10.0

ROOT = Path(__file__).parent.parent
BERTH = [sys.executable, "-P", "-m", "cli"]

SETTINGS = ("BERTH_", "TEMPORAL_", "OTEL_")
"""How the names of all settings begin."""

KEY = "bench-bench-bench-bench-bench-bench"
"""The API key of all runs; it opens nothing but a temporary database."""


class Stack:
    """A temporary folder and the processes that live in it."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="berth-bench-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    @property
    def database_url(self) -> str:
        """The database of this stack."""
        return f"sqlite:///{self.folder}/berth.db"

    def start(self, name: str, command: list[str], **environment: str) -> int:
        """Start a process; its id. Its environment has the given settings, and none of the caller's."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS)}
        ours = {
            "BERTH_DATABASE_URL": self.database_url,
            "BERTH_VAR": str(self.folder / name),
            "BERTH_BOOTSTRAP_API_KEY": KEY,
            "BERTH_UNKNOWN_CHARGERS": "register",
            "BERTH_OPEN_CHARGERS": "true",
            "BERTH_RATE_LIMIT": "0",
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                mortal(command),
                cwd=ROOT,
                env=kept | ours | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[name] = process
        return process.pid

    async def until(self, what: str, ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is there. Raises RuntimeError with the last words of a process that died."""
        deadline = time.monotonic() + READY_WITHIN
        while not await ready():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended: {self._log(name).read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not become ready within {READY_WITHIN:.0f} s")
            await asyncio.sleep(0.1)

    async def until_listening(self, port: int) -> None:
        """Wait until something listens on a port of 127.0.0.1. Raises RuntimeError."""
        await self.until(f"port {port}", lambda: _listens(port))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

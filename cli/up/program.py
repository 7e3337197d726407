"""One program that is kept running: started, read, started again when it dies, stopped."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.up.parent_death import mortal

Write = Callable[[str, str], None]
"""Takes the name of a program and one line of it."""

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before the first, second, … start after a death."""

SETTLED_AFTER = 30.0
"""Seconds after which a death counts as the first again."""


@dataclass(frozen=True)
class Program:
    """What to run, and how long it may take to end."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(repr=False)
    stop_within: float = 10.0
    log: Path | None = None
    """A file that takes its output, instead of the common stream."""


class RunningProgram:
    """Keeps one program running until asked to stop.

    It has a process group of its own, so that a Ctrl-C in the terminal reaches nobody but the supervisor.
    """

    def __init__(self, program: Program, write: Write) -> None:
        self.program = program
        self._write = write
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.first_death: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit code of its first end that nobody asked for."""
        self._keeper = asyncio.create_task(self._keep_running())

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def stop(self) -> None:
        """Ask it to end, and make it when it takes too long. Returns when it is gone, with all it started."""
        self._stopping = True
        if self.pid is None:
            self._keeper.cancel()
        self._signal(signal.SIGTERM)
        await asyncio.wait({self._keeper}, timeout=self.program.stop_within)
        self.kill()
        await asyncio.wait({self._keeper})

    def kill(self) -> None:
        """End it and everything it started, at once."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # it ended by itself

    async def _keep_running(self) -> None:
        deaths = 0
        while not self._stopping:
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping:
                return
            if not self.first_death.done():
                self.first_death.set_result(code)
            deaths = 1 if time.monotonic() - started > SETTLED_AFTER else deaths + 1
            pause = PAUSES[min(deaths, len(PAUSES)) - 1]
            self._write(self.program.name, f"ended ({_ending(code)}); starts again in {pause:.0f} s")
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        program = self.program
        log = program.log.open("ab") if program.log else None
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *mortal(program.command),
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            if log:
                log.close()
        relay = asyncio.create_task(self._relay(process.stdout)) if process.stdout else None
        code = await process.wait()
        self._signal(signal.SIGKILL)  # what it may have left behind
        self._process = None
        if relay is not None:
            await relay
        return code

    async def _relay(self, stream: asyncio.StreamReader) -> None:
        unfinished = b""
        while chunk := await stream.read(65536):
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            for line in lines:
                self._write(self.program.name, line.decode(errors="replace"))
        if unfinished:
            self._write(self.program.name, unfinished.decode(errors="replace"))


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

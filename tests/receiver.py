"""Somebody who is told of events: a real HTTP server that answers what a test says."""

import asyncio
import json
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One call."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Receiver:
    """Answers `status` to every call, after the statuses in `script`; hangs while `hangs`.

    To a webhook's event of an id in `answers` it answers that, and None is no answer at all.
    """

    status: int = 200
    script: deque[int] = field(default_factory=deque)
    answers: dict[str, int | None] = field(default_factory=dict)
    hangs: bool = False
    endless: bool = False  # its answer has a body that goes on and on
    headers: str = ""
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        self._busy: set[asyncio.Task[None] | None] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._busy:
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, self._busy), return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/berth?token=1"

    @property
    def events(self) -> list[str]:
        """The types of what came, in order."""
        return [one.event["type"] for one in self.received]

    async def until(self, count: int, within: float = 60) -> list[Received]:
        """Wait for so many calls."""
        async with asyncio.timeout(within):
            while len(self.received) < count:
                await asyncio.sleep(0.02)
        return self.received

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._busy.add(asyncio.current_task())
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.received.append(Received(head[0].split()[1], headers, body))
            event_id = headers.get("berth-event-id", "")
            while self.hangs or self.answers.get(event_id, 0) is None:
                await asyncio.sleep(0.02)
            status = self.answers.get(event_id) or (self.script.popleft() if self.script else self.status)
            length = "" if self.endless else "Content-Length: 0\r\n"
            writer.write(f"HTTP/1.1 {status} Said\r\n{length}{self.headers}\r\n".encode())
            while self.endless:
                writer.write(b"x" * 65536)
                await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who calls may hang up
        finally:
            self._busy.discard(asyncio.current_task())
            writer.close()

"""A caller's connection and nothing else: cheap enough not to be what is measured when an API is loaded.

HTTP/1.1 GETs, one after the other; it reads nothing of an answer but its status and its length.
"""

import asyncio
import re
import statistics
import time
from collections.abc import Iterable
from typing import Self

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class RawCaller:
    """One open connection, that calls with one API key."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader = reader
        self._writer = writer
        self._head = head

    @classmethod
    async def connect(cls, port: int, key: str) -> Self:
        """Connect to the API on a port of 127.0.0.1."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n\r\n")

    async def get(self, path: str, expected: int = 200) -> bytes:
        """The answer's body. Raises RuntimeError for another status than the expected one."""
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._head}".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None:
            raise RuntimeError(f"{path} was answered {head.decode()}")
        body = await self._reader.readexactly(int(length[1]))
        if int(status[1]) != expected:
            raise RuntimeError(f"{path} was answered {int(status[1])} {body[:500].decode()}")
        return body

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()


async def p50(port: int, key: str, paths: Iterable[str]) -> float:
    """The median of the seconds that GETs of these paths take, one after the other, on a fresh connection."""
    caller = await RawCaller.connect(port, key)
    latencies = []
    for path in paths:
        started = time.perf_counter()
        await caller.get(path)
        latencies.append(time.perf_counter() - started)
    caller.close()
    return statistics.median(latencies)

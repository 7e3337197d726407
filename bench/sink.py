"""Takes whatever is posted to it, and throws it away: a collector of traces, a receiver of webhooks.

A process of its own. A GET tells how many posts there were.

    python -c 'from bench.sink import main; main()' PORT
"""

import asyncio
import re
import sys
from dataclasses import dataclass

import httpx
import uvloop

from bench.stack import BERTH, Stack
from berth.ports import free_port

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Sink:
    """One that runs."""

    url: str

    async def has(self, count: int) -> bool:
        """Whether it got so many posts."""
        async with httpx.AsyncClient(trust_env=False) as http:
            return int((await http.get(self.url)).text) >= count


async def start_sink(stack: Stack, name: str) -> Sink:
    """Start one. Raises RuntimeError."""
    port = free_port()
    stack.start(name, [BERTH[0], "-c", "from bench.sink import main; main()", str(port)])
    await stack.until_listening(port)
    return Sink(f"http://127.0.0.1:{port}")


async def _take(port: int) -> None:
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                count += head.startswith(b"POST ")
                body = b"" if head.startswith(b"POST ") else str(count).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):  # they have gone
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve until ended."""
    uvloop.run(_take(int(sys.argv[1])))

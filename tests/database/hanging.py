"""A PostgreSQL server that may fall silent: its sockets stay open, and nothing more comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy import make_url


class Line:
    """The way to the server, for as long as it is not cut."""

    def __init__(self) -> None:
        self._is_open = asyncio.Event()
        self._is_open.set()

    def hang(self) -> None:
        """From now on nothing passes in either direction."""
        self._is_open.clear()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._is_open.wait()
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def line_to(url: str) -> AsyncIterator[tuple[str, Line]]:
    """A URL of the same database over a line that can be cut."""
    address = make_url(url)
    line = Line()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(address.host, address.port)
        for one in (line.pass_on(reader, server_writer), line.pass_on(server_reader, writer)):
            tasks.add(asyncio.create_task(one))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield address.set(host="127.0.0.1", port=port).render_as_string(hide_password=False), line
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

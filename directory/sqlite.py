"""A SQLite file: one thread writes, a few read; each statement or transaction, but a look-up, is one trip.

aiosqlite makes a trip for every cursor, statement, fetch and commit: 0.7 ms a read and 1.9 ms a write
where this takes 0.1 and 0.2, hence the plain driver for both spellings of the URL.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from directory.connections import Connections, Rows, T
from directory.reaching import reaching

_READERS = 4  # and the event loop itself
_BUSY_TIMEOUT = 15.0  # seconds a writer waits for writers of other processes
_PRAGMAS = (
    "PRAGMA synchronous = NORMAL",  # a crash of the machine may take the last moments, a killed process none
    "PRAGMA foreign_keys = ON",
)


class SqliteConnections(Connections):
    """The connections to a SQLite file."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        # A read begins nothing that it would have to end.
        self._read_engine = sqlite_engine(url, size=_READERS + 1).execution_options(
            isolation_level="AUTOCOMMIT"
        )
        self._write_engine = sqlite_engine(url, size=1)
        # A reader that becomes a writer fails when another process wrote in between; this one waits instead.
        sa.event.listen(self._write_engine, "begin", _begin_immediate)
        self._readers = ThreadPoolExecutor(_READERS, "directory-read")
        self._writer = ThreadPoolExecutor(1, "directory-write")
        self._thread = threading.local()
        self._opened: list[sa.Connection] = []

    async def query(self, statement: sa.Executable, **parameters: object) -> Rows:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, statement, parameters)

    async def lookup(self, statement: sa.Executable, **parameters: object) -> Rows:
        # 15 µs here, and 100 on a thread; readers of a WAL wait for no writer.
        return self._read(statement, parameters)

    async def change(self, statement: sa.Executable, **parameters: object) -> Rows:
        def work(connection: sa.Connection) -> Rows:
            result = connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

        return await self.transaction(work)

    async def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        def in_transaction() -> T:
            with reaching(self._url):
                connection = self._connection_of(self._write_engine)
                with connection.begin():
                    return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, in_transaction)

    def insert(self, table: sa.Table) -> sqlite.Insert:
        return sqlite.insert(table)

    async def close(self) -> None:
        for executor in (self._readers, self._writer):
            await asyncio.to_thread(executor.shutdown)
        for connection in self._opened:
            connection.close()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _read(self, statement: sa.Executable, parameters: dict[str, object]) -> Rows:
        with reaching(self._url):
            return self._connection_of(self._read_engine).execute(statement, parameters).all()

    def _connection_of(self, engine: sa.Engine) -> sa.Connection:
        """This thread's own: to take one from the pool and give it back costs twice a small statement."""
        kept: sa.Connection | None = getattr(self._thread, "connection", None)
        if kept is None:
            kept = self._thread.connection = engine.connect()
            self._opened.append(kept)
        return kept


def sqlite_engine(url: sa.URL, size: int) -> sa.Engine:
    """An engine whose connections carry Berth's pragmas and leave BEGIN to its user."""
    engine = sa.create_engine(
        url.set(drivername="sqlite"),
        pool_size=size,
        max_overflow=0,
        connect_args={
            "timeout": _BUSY_TIMEOUT,
            "check_same_thread": False,  # the pool lends a connection to one thread at a time
        },
    )
    sa.event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred, and skipped before DDL
    _switch_to_wal(connection)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Only a new file needs it. When two processes do it SQLite fails at once, whatever its timeout."""
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")

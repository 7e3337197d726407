"""A SQLite file: one thread writes, a few read; each statement or transaction, but a look-up, is one trip.

aiosqlite makes a trip for every cursor, statement, fetch and commit: 0.7 ms a read and 1.9 ms a write
where this takes 0.1 and 0.2, hence the plain driver, also for URLs that name the other one.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from berth.database.connections import Connections, Rows, T
from berth.database.errors import UnreachableError, translate_database_errors

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
        self._read_engine = sqlite_engine(url, size=_READERS).execution_options(isolation_level="AUTOCOMMIT")
        # The event loop's own connection waits for nobody: everything else would wait with it.
        self._look_engine = sqlite_engine(url, size=1, busy_timeout=0.0).execution_options(
            isolation_level="AUTOCOMMIT"
        )
        self._write_engine = sqlite_engine(url, size=1)
        # A reader that becomes a writer fails when another process wrote in between; this one waits instead.
        sa.event.listen(self._write_engine, "begin", _begin_immediate)
        self._readers = ThreadPoolExecutor(_READERS, "database-read")
        self._writer = ThreadPoolExecutor(1, "database-write")
        self._thread = threading.local()
        self._opened: list[sa.Connection] = []

    async def query(self, statement: sa.Executable, **parameters: object) -> Rows:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, statement, parameters)

    async def lookup(self, statement: sa.Executable, **parameters: object) -> Rows:
        # 15 µs here, and 100 on a thread; readers of a WAL wait for no writer, but for who recovers the file.
        try:
            return self._read_by(self._look_engine, statement, parameters)
        except (UnreachableError, sqlite3.OperationalError) as error:
            if not _is_busy(error):
                raise
        return await self.query(statement, **parameters)

    async def change(self, statement: sa.Executable, **parameters: object) -> Rows:
        def work(connection: sa.Connection) -> Rows:
            result = connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

        return await self.transaction(work)

    async def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        def in_transaction() -> T:
            with translate_database_errors(self._url):
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
        self._look_engine.dispose()
        self._write_engine.dispose()

    def _read(self, statement: sa.Executable, parameters: dict[str, object]) -> Rows:
        return self._read_by(self._read_engine, statement, parameters)

    def _read_by(self, engine: sa.Engine, statement: sa.Executable, parameters: dict[str, object]) -> Rows:
        with translate_database_errors(self._url):
            return self._connection_of(engine).execute(statement, parameters).all()

    def _connection_of(self, engine: sa.Engine) -> sa.Connection:
        """This thread's own: to take one from the pool and give it back costs twice a small statement."""
        kept: sa.Connection | None = getattr(self._thread, "connection", None)
        if kept is None:
            kept = self._thread.connection = engine.connect()
            self._opened.append(kept)
        return kept


def sqlite_engine(url: sa.URL, size: int, busy_timeout: float = _BUSY_TIMEOUT) -> sa.Engine:
    """An engine whose connections carry Berth's pragmas and leave BEGIN to its user."""
    engine = sa.create_engine(
        url.set(drivername="sqlite"),
        pool_size=size,
        max_overflow=0,
        connect_args={
            "timeout": busy_timeout,
            "check_same_thread": False,  # the pool lends a connection to one thread at a time
        },
    )
    sa.event.listen(engine, "connect", lambda connection, _: _prepare(connection, busy_timeout))
    return engine


def _prepare(connection: sqlite3.Connection, busy_timeout: float) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred, and skipped before DDL
    _switch_to_wal(connection, busy_timeout)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _switch_to_wal(connection: sqlite3.Connection, busy_timeout: float) -> None:
    """Only a new file needs it. When two processes do it SQLite fails at once, whatever its timeout."""
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_busy(error: BaseException) -> bool:
    """Whether another process has the file for itself at this moment."""
    reason = error.__cause__.orig if isinstance(error.__cause__, sa.exc.DBAPIError) else error
    if not isinstance(reason, sqlite3.OperationalError):
        return False
    return reason.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the rest says why


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")

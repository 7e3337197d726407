"""How statements reach the database; the repositories know this face only."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Row = sa.Row[*tuple[Any, ...]]
Rows = Sequence[Row]
Upsert = postgresql.Insert | sqlite.Insert
"""An INSERT that knows ON CONFLICT; both databases have the same."""

_BACKENDS = frozenset({"sqlite", "postgresql", "postgres"})  # the last as hosts of PostgreSQL write it


class Connections(ABC):
    """The connections to one database. Every method raises UnreachableError when it is away."""

    @abstractmethod
    async def query(self, statement: sa.Executable, **parameters: object) -> Rows:
        """The rows of one reading statement."""

    async def lookup(self, statement: sa.Executable, **parameters: object) -> Rows:
        """The few rows that a reading statement finds by an index: for the path of a frame or a request."""
        return await self.query(statement, **parameters)

    @abstractmethod
    async def change(self, statement: sa.Executable, **parameters: object) -> Rows:
        """Run one writing statement, on its own or not at all; the rows of its RETURNING, if any."""

    @abstractmethod
    async def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one writing transaction, maybe in another thread: it uses the connection only."""

    @abstractmethod
    def insert(self, table: sa.Table) -> Upsert:
        """An INSERT into `table` for this database."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection; running statements end first."""


def address_of(url: str) -> sa.URL:
    """The database that `url` names. Raises ArgumentError for no URL, and for one of another database."""
    address = sa.make_url(url)
    if address.get_backend_name() not in _BACKENDS:
        raise sa.exc.ArgumentError(f"{address.drivername}: neither SQLite nor PostgreSQL")
    return address

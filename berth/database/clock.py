"""The database's clock, the only one that decides what is fresh: processes' clocks may disagree."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _DatabaseNow(FunctionElement[float]):
    inherit_cache = True  # without it every statement with a clock is compiled anew each time
    type = sa.Double()


def database_now() -> sa.ColumnElement[float]:
    """The instant at which the database runs the statement, in unix seconds."""
    return _DatabaseNow()


@compiles(_DatabaseNow, "sqlite")
def _sqlite_now(element: _DatabaseNow, compiler: Any, **_: Any) -> str:
    # unixepoch('subsec') is newer than SQLite 3.40; 2440587.5 is the Julian day of 1970-01-01.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_DatabaseNow, "postgresql")
def _postgresql_now(element: _DatabaseNow, compiler: Any, **_: Any) -> str:
    # Not now(): that is the start of the transaction.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"

"""What can go wrong between Berth and its database."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


class DatabaseError(Exception):
    """Base of the database's errors."""


class UnreachableError(DatabaseError):
    """The database does not answer, or refuses us."""


class SchemaError(DatabaseError):
    """The database has no schema, or one of another release of Berth."""


class AlreadyExists(DatabaseError):
    """Another row has this value already; `field` names it."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} is taken")


_OF_THE_STATEMENT = (
    sa.exc.IntegrityError,
    sa.exc.ProgrammingError,
    sa.exc.DataError,
    sa.exc.NotSupportedError,
    sa.exc.InternalError,
)
"""Errors of a database that did answer."""


@contextmanager
def translate_database_errors(url: sa.URL) -> Iterator[None]:
    """Raise UnreachableError, without the password, for whatever says that the database at `url` is away."""
    try:
        yield
    except _OF_THE_STATEMENT:
        raise
    except (OSError, sa.exc.TimeoutError, sa.exc.DBAPIError) as error:
        reason = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        raise UnreachableError(
            f"no database at {url.render_as_string(hide_password=True)}: {reason}"
        ) from error

"""Where a driver's errors become ours: the database is away, or refuses us."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from berth.database.errors import UnreachableError

_OF_THE_STATEMENT = (
    sa.exc.IntegrityError,
    sa.exc.ProgrammingError,
    sa.exc.DataError,
    sa.exc.NotSupportedError,
    sa.exc.InternalError,
)
"""Errors of a database that did answer."""


@contextmanager
def reaching(url: sa.URL) -> Iterator[None]:
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

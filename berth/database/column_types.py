"""Columns that are the same on both databases: instants, and text as chargers send it."""

from datetime import UTC, datetime

import sqlalchemy as sa


class Instant(sa.types.TypeDecorator[datetime]):
    """A column of unix seconds (double precision: exact to the microsecond until the year 2100).

    Numbers compare with `database_now()` without conversion, and SQLite has no time type of its own.
    Raises ValueError for a naive datetime.
    """

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> float | None:
        """Unix seconds of an aware datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.timestamp()

    def process_result_value(self, value: float | None, dialect: sa.Dialect) -> datetime | None:
        """The aware UTC datetime of unix seconds."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


class WireText(sa.types.TypeDecorator[str]):
    """A text column that takes NUL (PostgreSQL refuses it) and lone surrogates (both do) as replacements."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """The text with what no database stores replaced."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()

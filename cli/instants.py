"""Instants and durations as people type them."""

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def instant(text: str, now: datetime | None = None) -> datetime:
    """`15m`, `1h30m` or `2d` from now, or an ISO 8601 instant (UTC when it has no offset).

    Raises ValueError.
    """
    return _at(text, now or datetime.now(UTC), 1)


def instant_past(text: str, now: datetime | None = None) -> datetime:
    """The same, the duration counting back from now. Raises ValueError."""
    return _at(text, now or datetime.now(UTC), -1)


def _at(text: str, now: datetime, direction: int) -> datetime:
    try:
        match = _DURATION.fullmatch(text)
        if match and text:
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            return now + direction * timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("must be like 15m, 1h30m, 2d, or ISO 8601") from error
    except OverflowError as error:
        raise ValueError("is further away than any date") from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)

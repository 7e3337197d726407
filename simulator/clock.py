"""The time a charger lives in: the system's, or one a test moves by hand."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

Clock = Callable[[], datetime]
"""Gives the present instant, aware and in UTC."""

NEVER = datetime.max.replace(tzinfo=UTC)
"""What an unreadable expiry becomes in a charger that accepts it."""


def utc_now() -> datetime:
    """The system's present instant."""
    return datetime.now(UTC)


TimeZone = Literal["utc", "utc_untold", "local", "local_untold"]
"""In which zone a charger writes its times, and whether it says so; local is two hours ahead of UTC."""

_LOCAL = timezone(timedelta(hours=2))


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now += timedelta(seconds=seconds)


def wire_time(instant: datetime, milliseconds: bool = True, zone: TimeZone = "utc") -> str:
    """An instant as OCPP wants it: UTC, `Z`, at most three decimals; or in another `zone`."""
    place = _LOCAL if zone in ("local", "local_untold") else UTC
    text = instant.astimezone(place).isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text[: -len("+00:00")] if zone.endswith("untold") else text.replace("+00:00", "Z")


def read_time(text: str, ignores_offset: bool = False) -> datetime:
    """An instant from the wire; without a zone it is UTC.

    Some chargers read no further than the seconds and take `+02:00` for UTC (`ignores_offset`).
    Raises ValueError when the text is no date and time.
    """
    instant = datetime.fromisoformat(text)
    if ignores_offset or instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)

"""Instants as text."""

from datetime import UTC, datetime


def instant(at: datetime) -> str:
    """ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_the_second(at: datetime) -> str:
    """For people, in UTC: `2026-11-28 10:00:00Z`."""
    return at.astimezone(UTC).isoformat(" ", "seconds").replace("+00:00", "Z")

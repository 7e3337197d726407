"""Tolerant reading of what chargers send: what has the wrong type counts as absent."""

import re
from datetime import UTC, datetime
from typing import Any

LONGEST_TEXT = 255
"""Characters kept of a text: no field that Berth reads is longer, and workflows keep what they receive."""

_INT32 = range(-(2**31), 2**31)
_SHORT_OFFSET = re.compile(r"[+-]\d{2}$")
_FRACTION = re.compile(r"[.,](\d+)")
# Clocks that were never set report 1970 or 2000; such a time is worse than none.
_FIRST_CREDIBLE_YEAR = 2015


def text(payload: dict[str, Any], key: str) -> str | None:
    """The string at `key`, without NUL characters, cut to LONGEST_TEXT; a number becomes its text."""
    value = payload.get(key)
    if isinstance(value, str):
        return value[:LONGEST_TEXT].replace("\0", "")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def integer(payload: dict[str, Any], key: str) -> int | None:
    """The 32-bit integer at `key`, also when it came as text or as 3.0."""
    value = payload.get(key)
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        try:
            value = int(value[:12])
        except ValueError:
            return None
    return value if isinstance(value, int) and value in _INT32 else None


def number(payload: dict[str, Any], key: str) -> float | None:
    """The number at `key`."""
    value = payload.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def record(payload: dict[str, Any], key: str) -> dict[str, Any]:
    """The object at `key`, else an empty one."""
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


def records(payload: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in the list at `key`."""
    value = payload.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def instant(payload: dict[str, Any], key: str) -> datetime | None:
    """The time at `key`, aware in UTC; None when it is missing, unreadable or before any credible clock.

    Seen in the field: no zone (UTC is assumed), offsets without minutes, a comma before the fraction,
    more than six decimals, a blank instead of the T.
    """
    value = payload.get(key)
    if not isinstance(value, str):
        return None
    spelled = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), value.strip().upper())
    if _SHORT_OFFSET.search(spelled) and ":" in spelled:
        spelled += ":00"
    try:
        read = datetime.fromisoformat(spelled)
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return aware if aware.year >= _FIRST_CREDIBLE_YEAR else None


def wire_time(at: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ`: the one spelling every charger reads (MicroOcpp ignores offsets)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

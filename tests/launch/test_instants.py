"""Instants as people type them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cli.instants import instant, instant_past

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ahead"),
    [
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("90s", timedelta(seconds=90)),
    ],
)
def test_a_duration_counts_from_now(text: str, ahead: timedelta) -> None:
    assert instant(text, NOW) == NOW + ahead


def test_a_duration_can_count_back() -> None:
    assert instant_past("1h30m", NOW) == NOW - timedelta(minutes=90)
    assert instant_past("2026-11-23T12:00:00Z") == NOW


@pytest.mark.parametrize("text", ["9999999d", "999999999999999999d"])
def test_further_than_any_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="further away than any date"):
        instant(text, NOW)


def test_an_instant_keeps_its_offset_and_is_utc_without_one() -> None:
    assert instant("2026-11-23T14:00:00+02:00").utcoffset() == timezone(timedelta(hours=2)).utcoffset(None)
    assert instant("2026-11-23T12:00:00") == NOW


@pytest.mark.parametrize("text", ["", "soon", "15", "m15", "-5m"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be like 15m"):
        instant(text)

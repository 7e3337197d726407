"""What chargers send is read tolerantly, what Berth sends is exact."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import fields

EXPECTED = datetime(2026, 11, 22, 14, 32, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "spelled",
    [
        "2026-11-22T14:32:37Z",
        "2026-11-22T14:32:37z",
        "2026-11-22T14:32:37",
        "2026-11-22 14:32:37",
        "2026-11-22T14:32:37+00",
        "2026-11-22T16:32:37+02",
        "2026-11-22T16:32:37+02:00",
        "2026-11-22T16:32:37+0200",
        " 2026-11-22T14:32:37.000Z ",
        "2026-11-22T14:32:37,0Z",
        "2026-11-22T14:32:37.000000000Z",
    ],
)
def test_times_of_real_chargers_are_understood(spelled: str) -> None:
    assert fields.instant({"timestamp": spelled}, "timestamp") == EXPECTED


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        "yesterday",
        "1970-01-01T00:00:12Z",
        "0001-01-01T00:00:00+14:00",
        "2026-13-01T00:00:00Z",
        [],
        "+02",
    ],
)
def test_a_time_that_cannot_be_believed_is_none(value: Any) -> None:
    assert fields.instant({"timestamp": value}, "timestamp") is None


@given(st.text(max_size=40))
def test_no_text_makes_the_reading_of_a_time_raise(spelled: str) -> None:
    fields.instant({"timestamp": spelled}, "timestamp")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        ("2", 2),
        (3.0, 3),
        (3.5, None),
        (True, None),
        (None, None),
        ("x", None),
        (2**31, None),
        ([], None),
    ],
)
def test_integers_are_read_from_text_but_never_invented(value: Any, expected: int | None) -> None:
    assert fields.integer({"connectorId": value}, "connectorId") == expected


def test_nul_characters_never_reach_the_database() -> None:
    assert fields.text({"idTag": "AB\0C"}, "idTag") == "ABC"


def test_expiry_goes_out_in_utc_without_fractions() -> None:
    at = datetime(2026, 11, 22, 16, 32, 37, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert fields.wire_time(at) == "2026-11-22T14:32:37Z"

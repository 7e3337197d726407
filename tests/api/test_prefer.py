"""The Prefer header (RFC 7240)."""

from datetime import timedelta

import pytest

from api.prefer import preferred_wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([""], None),
        (["return=minimal"], None),
        (["wait=10"], 10),
        (["Wait = 10"], 10),
        (['wait="10"'], 10),
        (["wait=0"], 0),
        (["respond-async"], 0),
        (["Respond-Async"], 0),
        (["respond-async, wait=5"], 5),
        (["wait=5;foo=bar, respond-async"], 5),
        (["return=minimal", "wait=5"], 5),
    ],
)
def test_a_wait_is_found_wherever_it_stands(headers: list[str], seconds: int | None) -> None:
    assert preferred_wait(headers) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("header", ["wait=61", "wait=999999999"])
def test_a_wait_of_more_than_a_minute_is_shortened(header: str) -> None:
    assert preferred_wait([header]) == timedelta(seconds=60)


@pytest.mark.parametrize("header", ["wait", "wait=", "wait=-1", "wait=soon", "wait=1.5", "wait=9999999999"])
def test_a_wait_that_makes_no_sense_is_ignored(header: str) -> None:
    assert preferred_wait([header]) is None

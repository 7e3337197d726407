"""The reference is that of the code: tables that are written from it, and words that it uses."""

import json
import re
from base64 import b64decode
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from api.temporal import reservations_client
from docs.tables import (
    commands_table,
    errors_table,
    events_table,
    floors_table,
    settings_table,
    steps_table,
)
from tests.launch.commands import ROOT
from workflows.messages import ReservationState
from workflows.reservation.state_count import OWN_REASONS
from workflows.webhook_events import PING, EventType

STATES = (ROOT / "docs" / "reference" / "states.md").read_text("utf-8")
HISTORIES = sorted((ROOT / "tests" / "data" / "histories").glob("*.json"))


def rows(page: str, first_column: str) -> list[list[str]]:
    """The cells of the table whose first column has that head."""
    _, _, table = page.partition(f"\n| {first_column} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize(
    "table", [settings_table, errors_table, commands_table, events_table, floors_table, steps_table]
)
def test_a_written_table_is_that_of_the_code(table: ModuleType) -> None:
    page = table.PAGE.read_text("utf-8")
    assert page == table.with_table(page), f"run python -m {table.__name__}"


def test_every_state_is_told_with_what_may_follow_it() -> None:
    told = {row[0].strip("`"): row for row in rows(STATES, "state")}
    assert set(told) == {state.value for state in ReservationState}
    for state in ReservationState:
        assert told[state][1].startswith("End: ") == state.is_end


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: str(history.stem))
def test_states_followed_one_another_as_told(history: Any) -> None:
    told = {row[0].strip("`"): words(row[2].rstrip("|")) for row in rows(STATES, "state")}
    recorded = json.loads(history.read_text("utf-8"))
    entered = list(_states(recorded))
    assert entered
    begun = recorded["events"][0]["workflowExecutionStartedEventAttributes"]
    if begun.get("continuedExecutionRunId"):
        del entered[0]  # it had entered others in the run before
    for before, after in pairwise(entered):
        assert after == before or after in told[before], f"{before} → {after}"


def _states(history: Any) -> Any:
    """The states that lists showed, one after the other."""
    yield "requested"
    for event in history["events"]:
        for attributes in event.values():
            if not isinstance(attributes, dict):
                continue
            shown = attributes.get("searchAttributes", {}).get("indexedFields", {}).get("ReservationState")
            if shown:
                yield json.loads(b64decode(shown["data"]))


def test_every_reason_of_berths_own_is_told() -> None:
    told = {word for row in rows(STATES, "reason") for word in words(row[0])}
    own = OWN_REASONS | {reservations_client.NOT_TAKEN_UP, *reservations_client._ENDED_BY_FORCE.values()}
    assert own <= told
    source = "".join(
        file.read_text("utf-8") for part in ("api", "workflows") for file in (ROOT / part).rglob("*.py")
    )
    ends = {state.capitalize() for state in ReservationState if state.is_end}
    for reason in told - own - ends - {"OcppError:<code>"}:
        assert f'"{reason}"' in source, reason


def test_every_line_of_a_timeline_is_told() -> None:
    page = (ROOT / "docs" / "reference" / "events.md").read_text("utf-8")
    told = {word for row in rows(page, "event") for word in words(row[0])}
    source = "".join(file.read_text("utf-8") for file in (ROOT / "workflows").rglob("*.py"))
    noted = set(re.findall(r'note\(\s*"([a-z ]+)"', source))
    noted |= {"charger answered", "requested", "change requested"}  # one of two
    assert told == noted


def test_every_event_of_webhooks_is_told() -> None:
    page = (ROOT / "docs" / "how-to" / "webhooks.md").read_text("utf-8")
    named = {word for row in rows(page, "type") for word in words(row[0])}
    told = {f"reservation{word}" if word.startswith(".") else word for word in named}
    assert told == {*EventType, PING}

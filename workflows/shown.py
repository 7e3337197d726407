"""What operators see of a running reservation: the Temporal UI's details and lists, the metric, the log."""

from collections import deque
from collections.abc import Iterable
from typing import Any

import structlog
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from workflows.instant import to_the_second
from workflows.messages import ReservationStart, Terms, TimelineEntry
from workflows.names import EXPIRES_AT, PORT_ID, RESERVATION_STATE
from workflows.reservation import state_count
from workflows.reservation.effects import StateReached

_DETAILS_LENGTH = 20  # lines of the timeline

log = structlog.get_logger(__name__)


class Shown:
    """One reservation, as it is shown."""

    def __init__(self, start: ReservationStart, timeline: Iterable[TimelineEntry]) -> None:
        self._start = start
        self._details = deque(map(_line, timeline), maxlen=_DETAILS_LENGTH)

    def add(self, entry: TimelineEntry) -> None:
        """Show a line of the timeline in the Temporal UI."""
        self._details.append(_line(entry))
        workflow.set_current_details("\n".join(self._details))

    def enter(self, reached: StateReached) -> None:
        """Count the state, log it, let lists find it."""
        state, reason = reached.state.value, reached.reason
        labels = {"state": state, "reason": state_count.reason_class(reached.state, reason, reached.status)}
        workflow.metric_meter().create_counter(state_count.NAME, state_count.DESCRIPTION).add(1, labels)
        if not workflow.unsafe.is_replaying():
            log.info(
                "reservation_state",
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                state=state,
                reason=reason,
            )
        # Each upsert is a write to the lists' store: a start with a route shows `sending` already.
        if workflow.info().typed_search_attributes.get(RESERVATION_STATE) != state:
            workflow.upsert_search_attributes([RESERVATION_STATE.value_set(state)])

    def show(self, terms: Terms) -> None:
        """Let lists find the reservation by its port and expiry."""
        port = PORT_ID.value_unset() if terms.port_id is None else PORT_ID.value_set(terms.port_id)
        attributes: list[SearchAttributeUpdate[Any]] = [EXPIRES_AT.value_set(terms.expires_at), port]
        workflow.upsert_search_attributes(attributes)


def _line(entry: TimelineEntry) -> str:
    return f"- {to_the_second(entry.at)} {entry.event} {entry.detail}".rstrip()

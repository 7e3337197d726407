"""Facts that workflows want to hear: stored before the charger's CALL is answered, delivered afterwards."""

from collections.abc import Callable, Iterable

from directory import Directory, LiveReservation, NewEvent, StoredEvent
from workflows.messages import (
    ChargerBooted,
    ChargerConnected,
    Event,
    PortStatusChanged,
    ReservationEnded,
    TransactionEnded,
    TransactionStarted,
)

SIGNALS: dict[str, type[Event]] = {
    "charger_connected": ChargerConnected,
    "charger_booted": ChargerBooted,
    "port_status": PortStatusChanged,
    "transaction_started": TransactionStarted,
    "transaction_ended": TransactionEnded,
    "reservation_ended": ReservationEnded,
}
"""The signals of the reservation's workflow and their arguments."""

_SIGNAL_OF = {record: signal for signal, record in SIGNALS.items()}

WHOLE_CHARGER = 0
"""Port number under which a charger speaks of itself."""


class Outbox:
    """Stores events of one charger for the workflows that listen to it."""

    def __init__(self, charger_id: int, directory: Directory, wake: Callable[[int], None]) -> None:
        self._charger_id = charger_id
        self._directory = directory
        self._wake = wake
        self._is_filled = False

    async def listeners(self) -> list[LiveReservation]:
        """The runs that listen to this charger."""
        return await self._directory.live.of_charger(self._charger_id)

    async def put(self, events: Iterable[tuple[LiveReservation, Event]]) -> None:
        """Store all of them or none, each for its listener."""
        new = self.written(events)
        if new:
            await self._directory.events.store_many(new)
            self.note_stored()

    def written(self, events: Iterable[tuple[LiveReservation, Event]]) -> list[NewEvent]:
        """Each as it is stored for its listener."""
        return [
            NewEvent(
                self._charger_id,
                listener.workflow_id,
                _SIGNAL_OF[type(event)],
                event.model_copy(update={"first_run_id": listener.first_run_id}).model_dump_json(),
            )
            for listener, event in events
        ]

    def note_stored(self) -> None:
        """Events of this charger were stored: there is something to deliver."""
        self._is_filled = True

    def release(self) -> None:
        """Have stored events delivered; called once the CALL that brought them is answered."""
        if self._is_filled:
            self._is_filled = False
            self._wake(self._charger_id)


def signal_argument(stored: StoredEvent) -> Event:
    """The record to signal; its `event_id` is the stored one, so that a repeat is recognised."""
    event = SIGNALS[stored.kind].model_validate_json(stored.payload_json)
    return event.model_copy(update={"event_id": stored.id})


def of_port(listeners: Iterable[LiveReservation], port_number: int) -> list[LiveReservation]:
    """Who listens to this port: its reservations and those of the whole charger; of port 0, everyone."""
    return [
        listener
        for listener in listeners
        if listener.port_number in (None, port_number) or port_number == WHOLE_CHARGER
    ]


def of_transaction(
    listeners: Iterable[LiveReservation],
    *,
    port_number: int | None,
    reservation_id: int | None,
    id_tag: str | None,
    parent_id_tag: str | None,
) -> list[LiveReservation]:
    """Who listens to this transaction: its port, the reservation it names, its token or group anywhere."""
    return [
        listener
        for listener in listeners
        if listener.port_number is None
        or listener.port_number == port_number
        or listener.reservation_id == reservation_id
        or same_token(listener.id_tag, id_tag)
        or same_token(listener.parent_id_tag, parent_id_tag)
    ]


def of_reservation(listeners: Iterable[LiveReservation], reservation_id: int) -> list[LiveReservation]:
    """Who listens to this reservation."""
    return [listener for listener in listeners if listener.reservation_id == reservation_id]


def same_token(one: str | None, other: str | None) -> bool:
    """Whether two tokens are the same, case ignored (OCPP 1.6 §7.28); absent ones never are."""
    return one is not None and other is not None and one.casefold() == other.casefold()

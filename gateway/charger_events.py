"""What workflows get of a charger's reports: stored before its CALL is answered, delivered afterwards."""

from collections.abc import Callable, Iterable

from activities.subscription import PORT_RESERVED_BY_OTHER, new_event
from berth.database import Database, EventSubscription, NewEvent, StoredEvent
from workflows.messages import (
    ChargerBooted,
    ChargerConnected,
    Event,
    PortReservedByOther,
    PortStatusChanged,
    ReservationEnded,
    TransactionEnded,
    TransactionStarted,
)

SIGNALS: dict[str, type[Event]] = {
    "charger_connected": ChargerConnected,
    "charger_booted": ChargerBooted,
    "port_status": PortStatusChanged,
    PORT_RESERVED_BY_OTHER: PortReservedByOther,
    "transaction_started": TransactionStarted,
    "transaction_ended": TransactionEnded,
    "reservation_ended": ReservationEnded,
}
"""The signals of the reservation's workflow and their arguments."""

_SIGNAL_OF = {record: signal for signal, record in SIGNALS.items()}

WHOLE_CHARGER = 0
"""Port number under which a charger speaks of itself."""


class Outbox:
    """Stores events of one charger's socket for the workflows subscribed to the charger."""

    def __init__(self, charger_id: int, epoch: int, database: Database, wake: Callable[[int], None]) -> None:
        self._charger_id = charger_id
        self._epoch = epoch
        self._database = database
        self._wake = wake
        self._is_filled = False

    async def subscribers(self) -> list[EventSubscription]:
        """The runs subscribed to this charger."""
        return await self._database.subscriptions.of_charger(self._charger_id)

    async def put(self, events: Iterable[tuple[EventSubscription, Event]]) -> None:
        """Store all of them or none, each for its subscriber."""
        new = self.written(events)
        if new:
            await self._database.events.store_many(new)
            self.note_stored()

    def written(self, events: Iterable[tuple[EventSubscription, Event]]) -> list[NewEvent]:
        """Each as it is stored for its subscriber."""
        return [
            new_event(subscriber, _SIGNAL_OF[type(event)], event, self._epoch) for subscriber, event in events
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


def of_port(subscribers: Iterable[EventSubscription], port_number: int) -> list[EventSubscription]:
    """Who gets events of this port: its reservations and those of the whole charger; of port 0, everyone."""
    return [
        subscriber
        for subscriber in subscribers
        if subscriber.port_number in (None, port_number) or port_number == WHOLE_CHARGER
    ]


def of_ended_transaction(
    subscribers: Iterable[EventSubscription],
    *,
    port_number: int | None,
    reservation_id: int | None,
    attributed_to: str | None,
) -> list[EventSubscription]:
    """Who gets a transaction's end: its port, the reservation it names, the one it was attributed to."""
    return [
        subscriber
        for subscriber in subscribers
        if subscriber.port_number is None
        or subscriber.port_number == port_number
        or subscriber.reservation_id == reservation_id
        or subscriber.workflow_id == attributed_to
    ]


def of_reservation(subscribers: Iterable[EventSubscription], reservation_id: int) -> list[EventSubscription]:
    """Who gets events of this reservation."""
    return [subscriber for subscriber in subscribers if subscriber.reservation_id == reservation_id]

"""The ids of what webhooks are told: they outlive releases, so that a step taken again tells nothing new."""

from uuid import UUID, uuid5

from workflows.webhook_events import EventType, charger_event_id, reservation_event_id

OURS = UUID("6f2a2c0e-5d0b-4b57-9c43-0d4fb6f7a4b1")


def test_an_events_id_is_the_uuid_of_what_happened() -> None:
    used = reservation_event_id("run-1", EventType.RESERVATION_USED, 2)
    assert used == str(uuid5(OURS, "run-1 reservation.used 2"))
    lost = charger_event_id(7, 3, 0, EventType.CHARGER_DISCONNECTED)
    assert lost == str(uuid5(OURS, "charger 7 3 0 charger.disconnected"))

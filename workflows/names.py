"""Names that several processes share: task queues, workflow ids, search attributes."""

from typing import Any

from temporalio.common import SearchAttributeKey

RESERVATIONS_QUEUE = "reservations"
"""The task queue of the workflow workers (`worker.py`)."""

WORKER_DEPLOYMENT = "berth"
"""The worker deployment whose versions are their builds, for who gives them one."""

WEBHOOKS_QUEUE = "webhooks"
"""The task queue of deliveries to webhooks, apart so that no reservation waits behind a slow receiver."""

CHARGER_ID = SearchAttributeKey.for_int("ChargerId")
PORT_ID = SearchAttributeKey.for_int("PortId")
RESERVATION_ID = SearchAttributeKey.for_int("ReservationId")
# Keyword: SQL visibility has room for three Ints only.
SITE_ID = SearchAttributeKey.for_keyword("SiteId")
RESERVATION_STATE = SearchAttributeKey.for_keyword("ReservationState")
EXPIRES_AT = SearchAttributeKey.for_datetime("ExpiresAt")

SEARCH_ATTRIBUTES: list[SearchAttributeKey[Any]] = [
    CHARGER_ID,
    PORT_ID,
    RESERVATION_ID,
    SITE_ID,
    RESERVATION_STATE,
    EXPIRES_AT,
]


def gateway_queue(gateway_id: str, incarnation: str) -> str:
    """The task queue of one gateway process; `incarnation` is random per process start."""
    return f"gateway-{gateway_id}-{incarnation}"


def reservation_workflow_id(charger_id: int, reservation_id: int) -> str:
    """The id under which a reservation lives in Temporal, one open run at a time."""
    return f"reservation-{charger_id}-{reservation_id}"


def forward_cancel_workflow_id(charger_id: int, reservation_id: int) -> str:
    """The id of a cancel that is forwarded for a number without a live reservation."""
    return f"forward-cancel-{charger_id}-{reservation_id}"


def change_password_workflow_id(charger_id: int) -> str:
    """The id of the change of a charger's password: one at a time."""
    return f"charger-password-{charger_id}"


def webhook_delivery_workflow_id(webhook_id: int, delivery_id: int, its_round: int) -> str:
    """The id of a batch of deliveries, by its first one and how often that was replayed."""
    return f"webhook-delivery-{webhook_id}-{delivery_id}-{its_round}"

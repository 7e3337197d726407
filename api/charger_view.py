"""Chargers in Flipturn's shape: the database's record, with who has its ports and who charges there."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from api.schemas import chargers as schemas
from berth.database import Charger, Database, EventSubscription, Port, Transaction
from workflows.messages import PENDING, ReservationState

_PortKey = tuple[int, int | None]
"""Charger id and port number; None = any port of the charger."""


async def show(charger: Charger, database: Database) -> schemas.Charger:
    """One charger."""
    (shown,) = await show_all([charger], database)
    return shown


async def show_all(chargers: Sequence[Charger], database: Database) -> list[schemas.Charger]:
    """Several chargers, by two queries for all of them."""
    charger_ids = [charger.id for charger in chargers]
    subscribed, sessions = await asyncio.gather(
        database.subscriptions.of_chargers(charger_ids),
        database.transactions.current_of(charger_ids),
    )
    holders = _holders(subscribed)
    return [
        schemas.Charger(
            id=charger.id,
            name=charger.name or charger.ocpp_identity,
            manufacturer=charger.manufacturer,
            model=charger.model,
            serial_number=charger.serial_number,
            firmware_version=charger.firmware_version,
            latitude=charger.latitude,
            longitude=charger.longitude,
            external_id=charger.external_id,
            ocpp_identity=charger.ocpp_identity,
            site_id=charger.site_id,
            type=charger.charger_type,
            number_of_ports=len(charger.ports),
            power_sharing=len(charger.ports) > 1,
            connection_status=_connection_status(charger),
            capabilities=schemas.Capabilities(
                reservations=charger.capabilities.reservations,
                whole_charger=charger.capabilities.whole_charger,
            ),
            reservation=_reservation(holders.get((charger.id, None))),
            security_profile=charger.security_profile,
            password_change=PENDING if charger.has_newer_password else None,
            ports=[
                _port(
                    port,
                    sessions.get((charger.id, port.port_number)),
                    holders.get((charger.id, port.port_number)),
                )
                for port in charger.ports
            ],
        )
        for charger in chargers
    ]


def _holders(subscribed: Sequence[EventSubscription]) -> dict[_PortKey, EventSubscription]:
    """The reservation that the charger accepted for each port; of several the one that lasts longest."""
    now = datetime.now(UTC)
    return {
        (row.charger_id, row.port_number): row for row in subscribed if row.accepted and row.expires_at > now
    }


def _connection_status(charger: Charger) -> schemas.ConnectionStatus | None:
    if charger.status_at is None:
        return None
    return schemas.ConnectionStatus(
        status="Connected" if charger.online else "Disconnected", timestamp=charger.status_at
    )


def _port(port: Port, session: Transaction | None, holder: EventSubscription | None) -> schemas.Port:
    return schemas.Port(
        id=port.id,
        name=port.name or f"Port {port.port_number}",
        port_number=port.port_number,
        maximum_power_kw=port.maximum_power_kw,
        connector_type=port.plug_type,
        ocpp_status=None
        if port.status is None
        else schemas.OcppStatus(
            status=port.status,
            timestamp=port.status_at,
            error_code=port.error_code,
            vendor_error_code=port.vendor_error_code,
            info=port.info,
        ),
        current_charging_session=None if session is None else _session(session),
        reservation=_reservation(holder),
    )


def _session(transaction: Transaction) -> schemas.ChargingSession:
    return schemas.ChargingSession(
        id=transaction.id,
        start_time=transaction.started_at,
        ocpp_id_tag=transaction.id_tag,
        # On 1.6 the central system gives the number; 2.0.1's is a text, for which Flipturn has no room.
        ocpp_transaction_id=transaction.id if transaction.ocpp_transaction_id is None else None,
    )


def _reservation(holder: EventSubscription | None) -> schemas.PortReservation | None:
    if holder is None:
        return None
    return schemas.PortReservation(
        reservation_id=holder.reservation_id, state=ReservationState.ACTIVE, expiry_date=holder.expires_at
    )

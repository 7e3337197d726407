"""/api/chargers: what there is, in Flipturn's shape, with what Berth knows of it now."""

import asyncio
import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api import schemas
from api.answers import answer, written
from api.auth import allowed, may_see
from api.documentation import responses
from api.errors import BadRequest, Conflict, Forbidden, NotFound
from api.route import ApiRoute
from api.schemas import (
    MAX_ID,
    ChargerPage,
    Cursor,
    Data,
    ExternalIdInPath,
    IdInPath,
    Limit,
    NewChargerBody,
    OcppIdInPath,
    Pagination,
    camel,
)
from api.services import Here, Services
from directory import AlreadyExists, ApiKey, Charger, LiveReservation, NewCharger, NewPort, Port, Transaction
from workflows.messages import ReservationState

router = APIRouter(prefix="/api/chargers", tags=["chargers"], route_class=ApiRoute)

Reader = Annotated[ApiKey, Depends(allowed("read"))]
Admin = Annotated[ApiKey, Depends(allowed("admin"))]


@router.post(
    "",
    summary="Add a charger",
    status_code=201,
    response_model=Data[schemas.Charger],
    responses=responses(400, 401, 403, 409, 413),
)
async def add(body: NewChargerBody, key: Admin, here: Here) -> Response:
    """Make a charger known, so that it may connect."""
    _check_in_scope(body, key)
    new = NewCharger(
        ocpp_identity=body.ocpp_identity,
        name=body.name,
        site_id=body.site_id,
        external_id=body.external_id,
        latitude=body.latitude,
        longitude=body.longitude,
        charger_type=body.type,
        ports=[
            NewPort(port.port_number, port.connector_type, port.maximum_power_kw, port.name)
            for port in body.ports
        ],
        password=body.password,
    )
    try:
        charger = await here.directory.chargers.add(new)
    except AlreadyExists as error:
        raise Conflict(f"{camel(error.field)}: is taken") from error
    shown = await _shown(charger, here)
    return answer(shown, 201, {"Location": f"/api/chargers/{charger.id}"})


@router.get("", summary="List the chargers", response_model=ChargerPage, responses=responses(400, 401, 403))
async def list_all(key: Reader, here: Here, limit: Limit = 50, next_page_cursor: Cursor = None) -> Response:
    """The chargers in the key's scope, by id."""
    after_id = 0 if next_page_cursor is None else _decoded(next_page_cursor)
    found = await here.directory.chargers.all(
        key.site_ids, key.charger_ids, limit=limit + 1, after_id=after_id
    )
    page, more = found[:limit], len(found) > limit
    shown = await asyncio.gather(*(_shown(charger, here) for charger in page))
    cursor = _encoded(page[-1].id) if more else None
    return written(
        ChargerPage(data=list(shown), pagination=Pagination(has_next_page=more, next_page_cursor=cursor))
    )


@router.get(
    "/by-external-id/{id:path}",
    summary="Look at a charger by your id",
    response_model=Data[schemas.Charger],
    responses=responses(401, 403, 404),
)
async def by_external_id(external_id: ExternalIdInPath, key: Reader, here: Here) -> Response:
    """The charger with this id in your books."""
    charger = await here.directory.chargers.by_external_id(external_id)
    return await _answered(charger, f"externalId: there is no charger {external_id}", key, here)


@router.get(
    "/by-ocpp-id/{id:path}",
    summary="Look at a charger by its OCPP identity",
    response_model=Data[schemas.Charger],
    responses=responses(401, 403, 404),
)
async def by_ocpp_id(ocpp_identity: OcppIdInPath, key: Reader, here: Here) -> Response:
    """The charger with this name in its socket's URL, whatever its case."""
    charger = await here.directory.chargers.by_identity(ocpp_identity)
    return await _answered(charger, f"ocppId: there is no charger {ocpp_identity}", key, here)


@router.get(
    "/{id}",
    summary="Look at a charger",
    response_model=Data[schemas.Charger],
    responses=responses(400, 401, 403, 404),
)
async def by_id(charger_id: IdInPath, key: Reader, here: Here) -> Response:
    """The charger with this id."""
    charger = await here.directory.chargers.by_id(charger_id)
    return await _answered(charger, f"id: there is no charger {charger_id}", key, here)


async def _answered(charger: Charger | None, unknown: str, key: ApiKey, here: Services) -> Response:
    if charger is None or not may_see(key, charger.id, charger.site_id):
        raise NotFound(unknown)
    return answer(await _shown(charger, here))


def _check_in_scope(body: NewChargerBody, key: ApiKey) -> None:
    """A key that sees some chargers only must not add one that it could not see."""
    if key.charger_ids is not None:
        raise Forbidden("this API key is for certain chargers and adds none")
    if key.site_ids is not None and body.site_id not in key.site_ids:
        raise Forbidden("siteId: is outside this API key's sites")


async def _shown(charger: Charger, here: Services) -> schemas.Charger:
    listening, sessions = await asyncio.gather(
        here.directory.live.of_charger(charger.id), here.directory.transactions.current(charger.id)
    )
    holders = _holders(listening)
    return schemas.Charger(
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
        type=charger.charger_type,
        number_of_ports=len(charger.ports),
        power_sharing=len(charger.ports) > 1,
        connection_status=_connection_status(charger),
        ports=[
            _port(port, sessions.get(port.port_number), holders.get(port.port_number))
            for port in charger.ports
        ],
    )


def _holders(listening: list[LiveReservation]) -> dict[int | None, LiveReservation]:
    """The reservation that the charger accepted for each port; of several the one that lasts longest."""
    now = datetime.now(UTC)
    return {row.port_number: row for row in listening if row.accepted and row.expires_at > now}


def _connection_status(charger: Charger) -> schemas.ConnectionStatus | None:
    if charger.status_at is None:
        return None
    return schemas.ConnectionStatus(
        status="Connected" if charger.online else "Disconnected", timestamp=charger.status_at
    )


def _port(port: Port, session: Transaction | None, holder: LiveReservation | None) -> schemas.Port:
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
        reservation=None
        if holder is None
        else schemas.PortReservation(
            reservation_id=holder.reservation_id,
            state=ReservationState.ACTIVE,
            expiry_date=holder.expires_at,
        ),
    )


def _session(transaction: Transaction) -> schemas.ChargingSession:
    return schemas.ChargingSession(
        id=transaction.id,
        start_time=transaction.started_at,
        ocpp_id_tag=transaction.id_tag,
        # On 1.6 the central system gives the number; 2.0.1's is a text, for which Flipturn has no room.
        ocpp_transaction_id=transaction.id if transaction.ocpp_transaction_id is None else None,
    )


def _encoded(charger_id: int) -> str:
    return base64.urlsafe_b64encode(str(charger_id).encode()).decode()


def _decoded(cursor: str) -> int:
    try:
        charger_id = int(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        charger_id = -1
    if not 0 <= charger_id <= MAX_ID:
        raise BadRequest("nextPageCursor: is not one of ours")
    return charger_id

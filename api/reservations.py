"""/api/ocpp/reservations: reserve, cancel, look."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from api.answers import answer
from api.auth import allowed, may_see
from api.documentation import responses
from api.errors import BadRequest, NotFound, Unavailable
from api.prefer import preferred_wait
from api.reservations_client import NOT_TAKEN_UP, UNKNOWN_RESERVATION, Sight
from api.route import ApiRoute
from api.schemas import (
    CancelBody,
    CancelOutcome,
    ChargerIdInPath,
    Data,
    Reservation,
    ReservationBody,
    ReservationIdInPath,
    ReservationOutcome,
    TimelineItem,
)
from api.services import Here, Services
from directory import ApiKey, PortTarget
from settings import Settings
from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelRequest,
    CancelStatus,
    IdTagType,
    Policy,
    ReservationStart,
    ReserveAnswer,
    ReserveRequest,
    ReserveStatus,
    Route,
    Terms,
)

PATH = "/api/ocpp/reservations"

NO_RESPONSE = "NoResponse"
"""Reason: the charger did not answer in time."""

router = APIRouter(prefix=PATH, tags=["reservations"], route_class=ApiRoute)

Reserver = Annotated[ApiKey, Depends(allowed("reservations"))]
Reader = Annotated[ApiKey, Depends(allowed("reservations", "read"))]


@router.post(
    "",
    summary="Reserve a port",
    response_model=Data[ReservationOutcome],
    responses=responses(400, 401, 403, 404, 413, 503, pending=Data[ReservationOutcome]),
)
async def reserve(body: ReservationBody, request: Request, key: Reserver, here: Here) -> Response:
    """Reserve a port for one driver until an expiry date.

    The answer is the charger's word. `Prefer: wait=N` (0 to 60 seconds) or `Prefer: respond-async` bound the
    wait; an offline charger answers 202 at once unless `wait` asks to hold.
    """
    _check_expiry(body.expiry_date, here.settings)
    target = await here.directory.chargers.port_target(body.port_id)
    if target is None or not may_see(key, target.charger_id, target.site_id):
        raise NotFound(f"portId: there is no port {body.port_id}")
    start = ReservationStart(
        charger_id=target.charger_id,
        ocpp_identity=target.ocpp_identity,
        reservation_id=body.reservation_id,
        site_id=target.site_id,
        policy=_policy(here.settings),
    )
    ask = _ask(body, target, _wait(request, key), here.settings, key)
    told = await here.reservations.reserve(start, ask)
    if told.status == PENDING and key.flipturn:
        told = await _refused(told, start, here)
    terms = told.holds or ask.terms
    outcome = ReservationOutcome(
        status=told.status,
        reservation_id=body.reservation_id,
        charger_id=target.charger_id,
        port_id=terms.port_id,
        state=told.state,
        reason=told.reason,
        expiry_date=terms.expires_at,
    )
    return _answered(outcome)


@router.post(
    "/cancel",
    summary="Cancel a reservation",
    response_model=Data[CancelOutcome],
    responses=responses(400, 401, 403, 404, 413, 503, pending=Data[CancelOutcome]),
)
async def cancel(body: CancelBody, request: Request, key: Reserver, here: Here) -> Response:
    """Give a port free. Accepted also when the reservation had never reached the charger."""
    await _check_charger(body.charger_id, key, here)
    wait = _wait(request, key)
    ask = CancelRequest(wait=_default_wait(here.settings) if wait is None else wait)
    told = await here.reservations.cancel(body.charger_id, body.reservation_id, ask)
    return _answered(_cancel_outcome(body, told, key))


@router.get(
    "/{chargerId}/{reservationId}",
    summary="Look at a reservation",
    response_model=Data[Reservation],
    responses=responses(400, 401, 403, 404, 503),
)
async def look(
    charger_id: ChargerIdInPath, reservation_id: ReservationIdInPath, key: Reader, here: Here
) -> Response:
    """A reservation as it stands this moment, with its story."""
    await _check_charger(charger_id, key, here)
    sight = await here.reservations.look(charger_id, reservation_id)
    if sight is None:
        raise NotFound(f"reservationId: charger {charger_id} has no reservation {reservation_id}")
    return answer(_reservation(sight, here.settings))


def _check_expiry(expires_at: datetime, settings: Settings) -> None:
    now = datetime.now(UTC)
    if expires_at <= now:
        raise BadRequest("expiryDate: must be in the future")
    if expires_at > now + timedelta(days=settings.max_days_ahead):
        raise BadRequest(f"expiryDate: must be at most {settings.max_days_ahead} days ahead")


async def _check_charger(charger_id: int, key: ApiKey, here: Services) -> None:
    charger = await here.directory.chargers.by_id(charger_id)
    if charger is None or not may_see(key, charger.id, charger.site_id):
        raise NotFound(f"chargerId: there is no charger {charger_id}")


def _policy(settings: Settings) -> Policy:
    return Policy(
        call_timeout=timedelta(seconds=settings.ocpp_call_timeout),
        expiry_grace=timedelta(seconds=settings.expiry_grace),
        settle=timedelta(seconds=settings.settle),
        connection_timeout=timedelta(seconds=settings.connection_timeout),
    )


def _wait(request: Request, key: ApiKey) -> timedelta | None:
    """The wait that is asked for; Flipturn's clients know nothing of it."""
    return None if key.flipturn else preferred_wait(request.headers.getlist("prefer"))


def _default_wait(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.ocpp_call_timeout + 5)  # longer than one call to the charger


def _ask(
    body: ReservationBody, target: PortTarget, wait: timedelta | None, settings: Settings, key: ApiKey
) -> ReserveRequest:
    route = None
    if target.queue is not None and target.epoch is not None:
        route = Route(queue=target.queue, epoch=target.epoch)
    return ReserveRequest(
        terms=Terms(
            port_id=target.port_id,
            port_number=target.port_number,
            expires_at=body.expiry_date,
            id_tag=body.id_tag,
            id_tag_type=body.id_token_type or IdTagType.CENTRAL,
            parent_id_tag=body.parent_id_tag,
        ),
        route=route,
        wait=_default_wait(settings) if wait is None else wait,
        hold_while_offline=bool(wait),
        # Flipturn has no word for "later".
        offline_policy="reject" if key.flipturn else body.offline_policy or settings.offline_policy,
        force=bool(body.force),
    )


async def _refused(told: ReserveAnswer, start: ReservationStart, here: Services) -> ReserveAnswer:
    """Pending in Flipturn's words. Whoever is told Rejected never gets it: it is withdrawn first."""
    if told.reason == NOT_TAKEN_UP:
        # A cancel would overtake the request that no worker has seen yet.
        raise Unavailable("no worker took the reservation in time; repeat with the same reservationId")
    await here.reservations.withdraw(start.charger_id, start.reservation_id)
    return ReserveAnswer(
        status=ReserveStatus.REJECTED, state=told.state, reason=told.reason or NO_RESPONSE, holds=told.holds
    )


def _cancel_outcome(body: CancelBody, told: CancelAnswer | None, key: ApiKey) -> CancelOutcome:
    outcome = CancelOutcome(
        status=CancelStatus.REJECTED, reservation_id=body.reservation_id, charger_id=body.charger_id
    )
    if told is None:
        return outcome.model_copy(update={"reason": UNKNOWN_RESERVATION})
    found = {"status": told.status, "state": told.state, "reason": told.reason}
    if told.status == PENDING and key.flipturn:
        # The cancel goes on; asked again, it answers as it then stands.
        found |= {"status": CancelStatus.REJECTED, "reason": told.reason or NO_RESPONSE}
    return outcome.model_copy(update=found)


def _answered(outcome: ReservationOutcome | CancelOutcome) -> Response:
    if outcome.status != PENDING:
        return answer(outcome, leave_out_unknown=True)
    location = f"{PATH}/{outcome.charger_id}/{outcome.reservation_id}"
    return answer(outcome, 202, {"Location": location}, leave_out_unknown=True)


def _reservation(sight: Sight, settings: Settings) -> Reservation:
    snapshot, terms = sight.snapshot, sight.snapshot.terms
    return Reservation(
        reservation_id=snapshot.reservation_id,
        charger_id=snapshot.charger_id,
        port_id=terms.port_id if terms else None,
        id_tag=terms.id_tag if terms else None,
        state=snapshot.state,
        status=snapshot.status,
        reason=snapshot.reason,
        evidence=snapshot.evidence,
        expiry_date=terms.expires_at if terms else None,
        waiting_since=snapshot.waiting_since,
        ended_at=snapshot.ended_at,
        timeline=[
            TimelineItem(at=entry.at, event=entry.event, detail=entry.detail) for entry in snapshot.timeline
        ],
        workflow_url=_workflow_url(sight, settings),
    )


def _workflow_url(sight: Sight, settings: Settings) -> str | None:
    if settings.temporal_ui_url is None:
        return None
    ui = settings.temporal_ui_url.rstrip("/")
    namespace, workflow_id = quote(sight.namespace, safe=""), quote(sight.workflow_id, safe="")
    return f"{ui}/namespaces/{namespace}/workflows/{workflow_id}/{sight.run_id}/history"

"""/api/ocpp/reservations: reserve, cancel, look, list."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, Request, Response

from api.answers import answer, written
from api.auth import allowed, may_see
from api.documentation import responses
from api.errors import BadRequest, NotFound, Unavailable
from api.idempotency import IdempotencyKey, answered_once
from api.paging import ThisPage
from api.policy import default_wait, policy_of
from api.prefer import Prefer, preferred_wait
from api.route import ApiRoute
from api.schemas.base import Data, Page
from api.schemas.reservations import (
    CancelBody,
    CancelOutcome,
    ChargerIdInPath,
    ChargerIdInQuery,
    PortIdInQuery,
    Reservation,
    ReservationBody,
    ReservationIdInPath,
    ReservationItem,
    ReservationOutcome,
    StateInQuery,
    TimelineItem,
)
from api.services import Here, Services
from api.temporal.reservation_list import Listed
from api.temporal.reservations_client import ReservationView
from berth.database import ApiKey, Charger, ChargerTarget, PortTarget
from berth.settings import Settings
from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelRequest,
    CancelStatus,
    ForwardCancelInput,
    IdTagType,
    ReservationStart,
    ReserveAnswer,
    ReserveRequest,
    ReserveStatus,
    Route,
    Terms,
)

log = structlog.get_logger(__name__)

PATH = "/api/ocpp/reservations"

NO_RESPONSE = "NoResponse"
"""Reason: the charger did not answer in time."""

CHARGER_OFFLINE = "ChargerOffline"
"""Reason: the charger is not connected."""

router = APIRouter(prefix=PATH, tags=["reservations"], route_class=ApiRoute)

Reserver = Annotated[ApiKey, Depends(allowed("reservations"))]
Reader = Annotated[ApiKey, Depends(allowed("reservations", "read"))]


@router.post(
    "",
    operation_id="reserve",
    summary="Reserve a port",
    response_model=Data[ReservationOutcome],
    responses=responses(400, 403, 404, 409, 413, pending=Data[ReservationOutcome]),
)
async def reserve(
    body: ReservationBody,
    request: Request,
    key: Reserver,
    here: Here,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Reserve a port, or any port of a charger, for one driver until an expiry date.

    The answer is the charger's; a charger without the Reservation profile rejects. The same request
    again asks for the same reservation, and nothing is reserved twice.

    A charger that is offline, or has not answered in time: 202 `Pending`; the reservation goes on by itself,
    look at it. Who uses it: a `Central` token (the default) by a remote start; a card at the charger's reader
    needs `ISO14443` or `ISO15693`. Members of the group `parentIdTag` must be listed (`/api/tokens`) for
    chargers that ask Berth about them.
    """
    _check_expiry(body.expiry_date, here.settings)
    target = await _target(body, key, here)
    wait = _wait(request, key)

    async def ask(name: str | None) -> Response:
        return await _reserve(body, target, wait, key, here, name)

    return await answered_once(idempotency_key, body, key, here, ask)


async def _reserve(
    body: ReservationBody,
    target: PortTarget | ChargerTarget,
    wait: timedelta | None,
    key: ApiKey,
    here: Services,
    name: str | None,
) -> Response:
    start = ReservationStart(
        charger_id=target.charger_id,
        ocpp_identity=target.ocpp_identity,
        reservation_id=body.reservation_id,
        site_id=target.site_id,
        policy=policy_of(here.settings),
    )
    ask = _ask(body, target, wait, here.settings, key, name)
    result = await here.reservations.reserve(start, ask, name)
    if result.status == PENDING and key.flipturn:
        result = await _refused(result, start, here)
    terms = result.holds or ask.terms
    outcome = ReservationOutcome(
        status=result.status,
        reservation_id=body.reservation_id,
        charger_id=target.charger_id,
        port_id=terms.port_id,
        state=result.state,
        reason=result.reason,
        expiry_date=terms.expires_at,
    )
    return _answered(outcome)


@router.post(
    "/cancel",
    operation_id="cancelReservation",
    summary="Cancel a reservation",
    response_model=Data[CancelOutcome],
    responses=responses(400, 403, 404, 409, 413, pending=Data[CancelOutcome]),
)
async def cancel(
    body: CancelBody,
    request: Request,
    key: Reserver,
    here: Here,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Give a port free. Accepted also when the reservation had never reached the charger.

    A number that no live reservation has is forwarded to the charger, and its answer is returned; when it is
    offline: `Rejected`, reason `ChargerOffline`. A live reservation whose charger is offline: 202 `Pending`.
    """
    charger = await _charger(body.charger_id, key, here)
    wait = _wait(request, key)

    async def ask(name: str | None) -> Response:
        return await _cancel(body, charger, wait, key, here, name)

    return await answered_once(idempotency_key, body, key, here, ask)


async def _cancel(
    body: CancelBody,
    charger: Charger,
    wait: timedelta | None,
    key: ApiKey,
    here: Services,
    name: str | None,
) -> Response:
    asked = CancelRequest(
        wait=default_wait(here.settings) if wait is None else wait, request_id=name or str(uuid4())
    )
    result = await here.reservations.cancel(charger.id, body.reservation_id, asked)
    # A reservation that this very cancel ended has asked the charger already.
    if result is None or (result.status == CancelStatus.REJECTED and not result.was_live):
        return _answered(await _forward(body, charger, result, asked.wait, key, here))
    outcome = CancelOutcome(
        status=result.status,
        reservation_id=body.reservation_id,
        charger_id=charger.id,
        state=result.state,
        reason=result.reason,
    )
    return _answered(_without_pending(outcome, key))


async def _forward(
    body: CancelBody,
    charger: Charger,
    ended: CancelAnswer | None,
    wait: timedelta,
    key: ApiKey,
    here: Services,
) -> CancelOutcome:
    """The charger's answer to a number that no live reservation has; `ended`: one had it before."""
    outcome = CancelOutcome(
        status=CancelStatus.REJECTED,
        reservation_id=body.reservation_id,
        charger_id=charger.id,
        state=None if ended is None else ended.state,
        reason=CHARGER_OFFLINE,
    )
    if not charger.online:
        return outcome
    result = await here.forwarded_cancels.send(
        ForwardCancelInput(
            charger_id=charger.id,
            ocpp_identity=charger.ocpp_identity,
            reservation_id=body.reservation_id,
            policy=policy_of(here.settings),
        ),
        wait,
    )
    if result is None:
        return _without_pending(outcome.model_copy(update={"status": PENDING, "reason": NO_RESPONSE}), key)
    return outcome.model_copy(update={"status": result.status, "reason": result.reason})


@router.get(
    "",
    operation_id="listReservations",
    summary="List the reservations",
    response_model=Page[ReservationItem],
    responses=responses(400, 403),
)
async def list_all(
    key: Reader,
    here: Here,
    asked: ThisPage,
    charger_id: ChargerIdInQuery = None,
    port_id: PortIdInQuery = None,
    state: StateInQuery = None,
) -> Response:
    """The reservations in the key's scope, newest first.

    Those that live come first, the last one asked for at the top; then those that ended, the last one to end
    at the top. The list is a moment old (usually under a second): for one reservation as it stands this
    moment, look at it alone. Ended ones stay for as long as Temporal's retention. A number that was used
    again is there once for each time. A reservation belongs to the site that its charger had at the start.
    """
    found, position = await here.reservation_list.page(
        site_ids=key.site_ids,
        charger_ids=key.charger_ids,
        charger_id=charger_id,
        port_id=port_id,
        state=state,
        limit=asked.limit,
        after=asked.after,
    )
    return written(Page(data=[_item(listed) for listed in found], pagination=asked.pagination(position)))


@router.get(
    "/{chargerId}/{reservationId}",
    operation_id="getReservation",
    summary="Look at a reservation",
    response_model=Data[Reservation],
    responses=responses(400, 403, 404),
)
async def look(
    charger_id: ChargerIdInPath, reservation_id: ReservationIdInPath, key: Reader, here: Here
) -> Response:
    """A reservation as it stands, with its timeline."""
    await _charger(charger_id, key, here)
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


async def _target(body: ReservationBody, key: ApiKey, here: Services) -> PortTarget | ChargerTarget:
    """Where the reservation goes. Raises BadRequest and NotFound."""
    if body.port_id is None and body.charger_id is None:
        raise BadRequest("portId: is required; or chargerId, for any port of that charger")
    target: PortTarget | ChargerTarget | None
    if body.port_id is not None:
        target = await here.database.chargers.port_target(body.port_id)
        unknown = f"portId: there is no port {body.port_id}"
    else:
        target = await here.database.chargers.charger_target(body.charger_id or 0)
        unknown = f"chargerId: there is no charger {body.charger_id}"
    if target is None or not may_see(key, target.charger_id, target.site_id):
        raise NotFound(unknown)
    if body.charger_id not in (None, target.charger_id):
        raise BadRequest(f"chargerId: port {body.port_id} is not one of charger {body.charger_id}")
    return target


async def _charger(charger_id: int, key: ApiKey, here: Services) -> Charger:
    charger = await here.database.chargers.by_id(charger_id)
    if charger is None or not may_see(key, charger.id, charger.site_id):
        raise NotFound(f"chargerId: there is no charger {charger_id}")
    return charger


def _wait(request: Request, key: ApiKey) -> timedelta | None:
    """The wait that is asked for; Flipturn's clients know nothing of it."""
    return None if key.flipturn else preferred_wait(request.headers.getlist("prefer"))


def _ask(
    body: ReservationBody,
    target: PortTarget | ChargerTarget,
    wait: timedelta | None,
    settings: Settings,
    key: ApiKey,
    name: str | None,
) -> ReserveRequest:
    route = None
    if target.queue is not None and target.epoch is not None:
        route = Route(queue=target.queue, epoch=target.epoch)
    return ReserveRequest(
        terms=Terms(
            port_id=target.port_id if isinstance(target, PortTarget) else None,
            port_number=target.port_number if isinstance(target, PortTarget) else None,
            expires_at=body.expiry_date,
            id_tag=body.id_tag,
            id_tag_type=body.id_token_type or IdTagType.CENTRAL,
            parent_id_tag=body.parent_id_tag,
        ),
        # Under an Idempotency-Key a repeat is the same request: it is not taken again after a cancel.
        request_id=name or str(uuid4()),
        route=route,
        wait=default_wait(settings) if wait is None else wait,
        hold_while_offline=bool(wait),
        # Flipturn has no word for "later".
        offline_policy="reject" if key.flipturn else body.offline_policy or settings.offline_policy,
        force=bool(body.force),
    )


async def _refused(result: ReserveAnswer, start: ReservationStart, here: Services) -> ReserveAnswer:
    """Pending in Flipturn's words. Whoever receives Rejected never gets it: it is withdrawn first."""
    if not result.is_taken_up:
        # A cancel would overtake the request that no worker has seen yet.
        raise Unavailable("no worker took the reservation in time; repeat with the same reservationId")
    await here.reservations.withdraw(start.charger_id, start.reservation_id)
    return ReserveAnswer(
        status=ReserveStatus.REJECTED,
        state=result.state,
        reason=result.reason or NO_RESPONSE,
        holds=result.holds,
    )


def _without_pending(outcome: CancelOutcome, key: ApiKey) -> CancelOutcome:
    """For a Flipturn key: the cancel goes on; asked again, it answers as it then stands."""
    if outcome.status != PENDING or not key.flipturn:
        return outcome
    rejected = {"status": CancelStatus.REJECTED, "reason": outcome.reason or NO_RESPONSE}
    return outcome.model_copy(update=rejected)


def _answered(outcome: ReservationOutcome | CancelOutcome) -> Response:
    log.info(
        "reserve_answered" if isinstance(outcome, ReservationOutcome) else "cancel_answered",
        charger_id=outcome.charger_id,
        reservation_id=outcome.reservation_id,
        status=outcome.status,
        reason=outcome.reason,
        state=outcome.state,
    )
    if outcome.status != PENDING:
        return answer(outcome, leave_out_unknown=True)
    location = f"{PATH}/{outcome.charger_id}/{outcome.reservation_id}"
    return answer(outcome, 202, {"Location": location}, leave_out_unknown=True)


def _item(listed: Listed) -> ReservationItem:
    return ReservationItem(
        reservation_id=listed.reservation_id,
        charger_id=listed.charger_id,
        port_id=listed.port_id,
        state=listed.state,
        expiry_date=listed.expires_at,
        created_at=listed.created_at,
        ended_at=listed.ended_at,
    )


def _reservation(sight: ReservationView, settings: Settings) -> Reservation:
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


def _workflow_url(sight: ReservationView, settings: Settings) -> str | None:
    if settings.temporal_ui_url is None:
        return None
    ui = settings.temporal_ui_url.rstrip("/")
    namespace, workflow_id = quote(sight.namespace, safe=""), quote(sight.workflow_id, safe="")
    return f"{ui}/namespaces/{namespace}/workflows/{workflow_id}/{sight.run_id}/history"

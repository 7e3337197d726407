"""/api/chargers: what there is, in Flipturn's shape, with what Berth knows of it now."""

from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response

from api.answers import answer, written
from api.auth import allowed, may_see
from api.charger_view import show, show_all
from api.documentation import responses
from api.errors import Conflict, Forbidden, NotFound
from api.paging import ThisPage
from api.policy import default_wait, policy_of
from api.prefer import Prefer, preferred_wait
from api.route import ApiRoute
from api.schemas import chargers as schemas
from api.schemas.base import Data, Page, camel
from api.schemas.chargers import (
    ChargerChangesBody,
    ExternalIdInPath,
    IdInPath,
    NewChargerBody,
    NewPortBody,
    OcppIdInPath,
)
from api.services import Here, Services
from berth.database import AlreadyExists, ApiKey, Charger, ChargerChanges, NewCharger, NewPort
from workflows.messages import PENDING, PasswordAnswer, PasswordChange, PasswordStatus

router = APIRouter(prefix="/api/chargers", tags=["chargers"], route_class=ApiRoute)

Reader = Annotated[ApiKey, Depends(allowed("read"))]
Admin = Annotated[ApiKey, Depends(allowed("admin"))]


@router.post(
    "",
    operation_id="addCharger",
    summary="Add a charger",
    status_code=201,
    response_model=Data[schemas.Charger],
    responses=responses(400, 403, 409, 413, success=201, located=True),
)
async def add(body: NewChargerBody, key: Admin, here: Here) -> Response:
    """Make a charger known, so that it may connect."""
    if key.charger_ids is not None:
        raise Forbidden("this API key is for certain chargers and adds none")
    _check_site(body.site_id, key)
    new = NewCharger(
        ocpp_identity=body.ocpp_identity,
        name=body.name,
        site_id=body.site_id,
        external_id=body.external_id,
        latitude=body.latitude,
        longitude=body.longitude,
        charger_type=body.type,
        ports=_ports(body.ports),
        password=body.password,
        security_profile=body.security_profile,
    )
    try:
        charger = await here.database.chargers.add(new)
    except AlreadyExists as error:
        raise Conflict(f"{camel(error.field)}: is taken") from error
    shown = await show(charger, here.database)
    return answer(shown, 201, {"Location": f"/api/chargers/{charger.id}"})


@router.get(
    "",
    operation_id="listChargers",
    summary="List the chargers",
    response_model=Page[schemas.Charger],
    responses=responses(400, 403),
)
async def list_all(key: Reader, here: Here, asked: ThisPage) -> Response:
    """The chargers in the key's scope, by id."""
    found = await here.database.chargers.all(
        key.site_ids, key.charger_ids, limit=asked.limit + 1, after_id=asked.after_id or 0
    )
    page, pagination = asked.cut(found, lambda charger: charger.id)
    return written(Page(data=await show_all(page, here.database), pagination=pagination))


@router.get(
    "/by-external-id/{id:path}",
    operation_id="getChargerByExternalId",
    summary="Look at a charger by your id",
    response_model=Data[schemas.Charger],
    responses=responses(400, 403, 404),
)
async def by_external_id(external_id: ExternalIdInPath, key: Reader, here: Here) -> Response:
    """The charger with this id in your books."""
    charger = await here.database.chargers.by_external_id(external_id)
    seen = _seen(charger, f"externalId: there is no charger {external_id}", key)
    return answer(await show(seen, here.database))


@router.get(
    "/by-ocpp-id/{id:path}",
    operation_id="getChargerByOcppId",
    summary="Look at a charger by its OCPP identity",
    response_model=Data[schemas.Charger],
    responses=responses(400, 403, 404),
)
async def by_ocpp_id(ocpp_identity: OcppIdInPath, key: Reader, here: Here) -> Response:
    """The charger with this name in its socket's URL, whatever its case."""
    charger = await here.database.chargers.by_identity(ocpp_identity)
    seen = _seen(charger, f"ocppId: there is no charger {ocpp_identity}", key)
    return answer(await show(seen, here.database))


@router.get(
    "/{id}",
    operation_id="getCharger",
    summary="Look at a charger",
    response_model=Data[schemas.Charger],
    responses=responses(400, 403, 404),
)
async def by_id(charger_id: IdInPath, key: Reader, here: Here) -> Response:
    """The charger with this id."""
    return answer(await show(await _by_id(charger_id, key, here), here.database))


@router.patch(
    "/{id}",
    operation_id="changeCharger",
    summary="Change a charger",
    response_model=Data[schemas.Charger],
    responses=responses(400, 403, 404, 409, 413),
)
async def change(charger_id: IdInPath, body: ChargerChangesBody, key: Admin, here: Here) -> Response:
    """Change what is named; the rest stays. Reservations that live go on under their old terms."""
    await _by_id(charger_id, key, here)
    if "site_id" in body.model_fields_set:
        _check_site(body.site_id, key)
    try:
        charger = await here.database.chargers.update(charger_id, **_changes(body))
    except AlreadyExists as error:
        raise Conflict(f"{camel(error.field)}: is taken") from error
    return answer(await show(_seen(charger, _unknown(charger_id), key), here.database))


@router.post(
    "/{id}/password",
    operation_id="changeChargerPassword",
    summary="Give a charger a new password",
    response_model=Data[schemas.PasswordOutcome],
    responses=responses(400, 403, 404, pending=Data[schemas.PasswordOutcome]),
)
async def change_password(
    charger_id: IdInPath, request: Request, key: Admin, here: Here, prefer: Prefer = None
) -> Response:
    """Have a charger that is online take a new password, which Berth makes up and shows nobody.

    The old one opens until the charger has connected with the new one; `passwordChange` of the charger says
    so. An offline charger: `Rejected`, reason `ChargerOffline`. No answer of the charger: 202 `Pending`; it
    may have the new one or not, so both open. One change of a charger at a time.
    """
    charger = await _by_id(charger_id, key, here)
    result: PasswordAnswer | None = PasswordAnswer(status=PasswordStatus.REJECTED, reason="ChargerOffline")
    if charger.online:
        wait = preferred_wait(request.headers.getlist("prefer"))
        result = await here.password_changes.send(
            PasswordChange(
                charger_id=charger.id,
                ocpp_identity=charger.ocpp_identity,
                policy=policy_of(here.settings),
            ),
            default_wait(here.settings) if wait is None else wait,
        )
    result = result or PasswordAnswer(status=PENDING, reason="NoResponse")
    outcome = schemas.PasswordOutcome(charger_id=charger.id, status=result.status, reason=result.reason)
    if result.status != PENDING:
        return answer(outcome, leave_out_unknown=True)
    return answer(outcome, 202, {"Location": f"/api/chargers/{charger.id}"}, leave_out_unknown=True)


@router.delete(
    "/{id}",
    operation_id="removeCharger",
    summary="Remove a charger",
    status_code=204,
    responses=responses(400, 403, 404, 409, success=204),
)
async def remove(charger_id: IdInPath, key: Admin, here: Here) -> Response:
    """Forget a charger, its ports and its password; its id is never given again.

    Refused while reservations of it live. Its socket takes no more commands.
    """
    await _by_id(charger_id, key, here)
    now = datetime.now(UTC)
    subscribed = await here.database.subscriptions.of_charger(charger_id)
    if alive := sorted(row.reservation_id for row in subscribed if row.expires_at > now):
        raise Conflict(f"id: the charger has live reservations ({_few(alive)}); cancel them first")
    if not await here.database.chargers.remove(charger_id):
        raise NotFound(_unknown(charger_id))
    return Response(status_code=204)


async def _by_id(charger_id: int, key: ApiKey, here: Services) -> Charger:
    return _seen(await here.database.chargers.by_id(charger_id), _unknown(charger_id), key)


def _seen(charger: Charger | None, unknown: str, key: ApiKey) -> Charger:
    if charger is None or not may_see(key, charger.id, charger.site_id):
        raise NotFound(unknown)
    return charger


def _unknown(charger_id: int) -> str:
    return f"id: there is no charger {charger_id}"


def _check_site(site_id: str | None, key: ApiKey) -> None:
    """A key must not put a charger where it could not see it."""
    if key.site_ids is not None and site_id not in key.site_ids:
        raise Forbidden("siteId: is outside this API key's sites")


def _changes(body: ChargerChangesBody) -> ChargerChanges:
    named: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "type" in named:
        named["charger_type"] = named.pop("type")
    if "ports" in named:
        named["ports"] = _ports(body.ports)
    return cast(ChargerChanges, named)


def _ports(bodies: list[NewPortBody]) -> list[NewPort]:
    return [
        NewPort(port.port_number, port.connector_type, port.maximum_power_kw, port.name) for port in bodies
    ]


def _few(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown if len(numbers) <= 5 else f"{shown}, …"

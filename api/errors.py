"""What went wrong, as one sentence for the caller: `{"error": "<sentence>"}`, for every error there is.

ApiError
├── BadRequest     400  the request itself: the sentence names the field and the rule
├── Unauthorized   401  no API key, or not a good one
├── Forbidden      403  the key lacks a right
├── NotFound       404  it does not exist, or lies outside the key's scope
├── Conflict       409  it contradicts what is there already
├── BodyTooLarge   413
├── TooMany        429  more requests than the key may make
├── Failed         500  a fault of ours
└── Unavailable    503  Temporal does not answer, or not now; the database likewise
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException

from berth.database import UnreachableError
from berth.temporal.codec import UnreadablePayload

log = structlog.get_logger(__name__)

RETRY_AFTER = 5
"""Seconds after which a caller may repeat a request that met an unreachable Temporal or database."""


class ApiError(HTTPException):
    """Base of the answers that are not a result; `detail` is the sentence."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(int(self.status), sentence, headers)


class BadRequest(ApiError):
    """The request breaks a rule."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(ApiError):
    """Nobody we know is calling."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, {"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The key may not do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(ApiError):
    """There is no such thing, as far as this key may know."""

    status = HTTPStatus.NOT_FOUND


class Conflict(ApiError):
    """It contradicts what is there already."""

    status = HTTPStatus.CONFLICT


class BodyTooLarge(ApiError):
    """The body has more bytes than any request needs."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TooMany(ApiError):
    """More requests than the key may make; `retry_after` in seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence, {"Retry-After": str(retry_after)})


class Failed(ApiError):
    """A fault of ours; the log knows more."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class Unavailable(ApiError):
    """Temporal or the database is away or saturated; the sentence says what is known of the outcome."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, {"Retry-After": str(RETRY_AFTER)})


def error_response(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """The one shape of an error."""
    body = orjson.dumps({"error": sentence})
    return Response(body, int(status), dict(headers or {}), media_type="application/json")


def handle_errors(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Give every error that FastAPI or Starlette answers our shape; `routes` are all there are."""

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)  # it is registered for no other
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": _allowed(request.url.path, routes)}
        return error_response(error.status_code, _sentence(request, error), headers)

    app.add_exception_handler(StarletteHTTPException, http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(UnreachableError, _database_error)
    app.add_exception_handler(UnreadablePayload, _payload_error)


def _allowed(path: str, routes: Sequence[APIRoute]) -> str:
    # Starlette names the methods of the first route only.
    here = [route for route in routes if route.path_regex.match(path)]
    methods = {method for route in here for method in route.methods or ()}
    return ", ".join(sorted(methods))


def _sentence(request: Request, error: StarletteHTTPException) -> str:
    if isinstance(error, ApiError):
        return error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {request.url.path}"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not possible at {request.url.path}"
    return error.detail


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # it is registered for no other
    return error_response(HTTPStatus.BAD_REQUEST, "; ".join(map(_rule, error.errors())))


async def _database_error(request: Request, error: Exception) -> Response:
    # A route asks the database for all that it needs before Temporal receives the request.
    log.warning("database_unreachable", error=str(error))
    unavailable = Unavailable("the database does not answer; no charger was asked: repeat the request")
    return error_response(unavailable.status_code, unavailable.detail, unavailable.headers)


async def _payload_error(_: Request, error: Exception) -> Response:
    log.error("payload_unreadable", error=str(error))
    sentence = f"Temporal's word about the reservation cannot be read: {error}"
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)


def _rule(problem: Mapping[str, Any]) -> str:
    field = _field(problem["loc"])
    if not field:
        return "the body: must be a JSON object"
    if problem["type"] == "missing":
        return f"{field}: is required"
    return f"{field}: {_words(problem['msg'])}"


def _field(location: Sequence[str | int]) -> str:
    _, *path = location  # the first says where: body, path, query, header
    return ".".join(map(str, path))


def _words(message: str) -> str:
    """Pydantic's message as the rule alone: "Input should be a valid integer" → "must be a valid integer"."""
    message = re.split(", unable to parse| after validation, not ", message.removeprefix("Value error, "))[0]
    return re.sub(r"^[A-Z][a-z]+ should (be|have|match)", r"must \1", message)

"""The API as one ASGI application: parse, one call to Temporal or the database, answer."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.routing import BaseRoute
from starlette.types import Scope
from temporalio.client import Client

from api.documentation import add_pages
from api.errors import handle_errors
from api.key_use import KeyUse
from api.rate_limit import RateLimit
from api.request_middleware import RequestMiddleware
from api.routes import api_keys as keys
from api.routes import chargers, health, ocpp_messages, reservations, tokens, webhooks
from api.services import Services
from api.temporal.charger_password_changes import PasswordChanges
from api.temporal.forwarded_cancels import ForwardedCancels
from api.temporal.reservation_list import ReservationList
from api.temporal.reservations_client import Reservations
from berth import __version__
from berth.database import Database
from berth.settings import Settings

_PARTS = (reservations, chargers, ocpp_messages, keys, tokens, webhooks)
"""The routes below /api."""

# For the documentation: ApiRoute does the work.
_bearer = Depends(HTTPBearer(auto_error=False, description="The API key, from `berth key create`."))

_DESCRIPTION = """
Every call below `/api` needs `Authorization: Bearer {api_key}`. A key sees the chargers in its scope; what
lies outside is as if it did not exist. Times are ISO 8601 in UTC, unknown fields are ignored. Every error is
`{"error": "<sentence>"}`, and every response has an `X-Request-Id`.

A key may make so many requests a minute (200 by default); a 429 says in `Retry-After` when the next minute
begins.
"""


def _is_untraced(scope: Scope) -> bool:
    return not scope["path"].startswith("/api/")  # probes, documentation


# A span for each call, once berth/telemetry/tracing.py has set up where they go. FastAPI's logs would quote
# bodies, tokens included; Berth has its own, and its own metrics.
_SPANS_ONLY: Any = {
    "tracing": True,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": _is_untraced,
}


def _routes() -> list[BaseRoute]:
    whole = APIRouter(strict_content_type=False)  # JsonRequest decides
    for part in _PARTS:
        whole.include_router(part.router, dependencies=[_bearer])
    whole.include_router(health.router)
    return whole.routes


# One for all applications: FastAPI makes them ready at the first request, which takes longer than any other.
_ROUTES = _routes()


def create_app(settings: Settings, client: Client, database: Database) -> FastAPI:
    """The application; it closes neither `client` nor `database`.

    A lazy client lets it start while Temporal is down; requests then answer 503. `close` ends it.
    """
    app = FastAPI(
        title="Berth",
        summary="Durable reservations of EV charging ports over OCPP.",
        description=_DESCRIPTION,
        version=__version__,
        docs_url=None,  # add_pages
        redoc_url=None,
        redirect_slashes=False,
        routes=[*_ROUTES],
        telemetry=_SPANS_ONLY,
    )
    app.state.services = Services(
        settings,
        database,
        Reservations(client),
        ReservationList(client),
        ForwardedCancels(client),
        PasswordChanges(client),
        RateLimit(settings),
        KeyUse(database),
    )
    add_pages(app)
    routes = [part.router.routes for part in (*_PARTS, health)]
    handle_errors(app, [route for of_part in routes for route in of_part if isinstance(route, APIRoute)])
    app.add_middleware(RequestMiddleware)
    return app


async def close(app: FastAPI) -> None:
    """Write what waits, and close what the application opened by itself."""
    services: Services = app.state.services
    await services.key_use.close()
    await services.rate_limit.close()

"""The API as one ASGI application: parse, one call to Temporal or the directory, answer."""

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from temporalio.client import Client

from api import chargers, health, reservations
from api.envelope import Envelope
from api.errors import handle_errors
from api.reservations_client import Reservations
from api.services import Services
from directory import Directory
from settings import Settings

# For the documentation: ApiRoute does the work.
_bearer = Depends(HTTPBearer(auto_error=False, description="The API key, from `berth key create`."))

# Its logs would quote bodies, tokens included; Temporal's and ours are traced where they are made.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


def create_app(settings: Settings, client: Client, directory: Directory) -> FastAPI:
    """The application; it closes neither `client` nor `directory`.

    A lazy client lets it start while Temporal is down; requests then answer 503.
    """
    app = FastAPI(
        title="Berth",
        summary="Reserves charging ports and keeps its word.",
        version="0.1.0",
        redirect_slashes=False,
        strict_content_type=False,  # JsonRequest decides
        telemetry=_NO_TELEMETRY,
    )
    app.state.services = Services(settings, directory, Reservations(client))
    app.include_router(reservations.router, dependencies=[_bearer])
    app.include_router(chargers.router, dependencies=[_bearer])
    app.include_router(health.router)
    handle_errors(app)
    app.add_middleware(Envelope)
    return app

"""What the routes work with: handed to `create_app`, found by a request through its application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.key_use import KeyUse
from api.rate_limit import RateLimit
from api.temporal.charger_password_changes import PasswordChanges
from api.temporal.forwarded_cancels import ForwardedCancels
from api.temporal.reservation_list import ReservationList
from api.temporal.reservations_client import Reservations
from berth.database import Database
from berth.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of one API process."""

    settings: Settings
    database: Database
    reservations: Reservations
    reservation_list: ReservationList
    forwarded_cancels: ForwardedCancels
    password_changes: PasswordChanges
    rate_limit: RateLimit
    key_use: KeyUse


async def services_of(request: Request) -> Services:
    """The collaborators of the application that serves `request`."""
    services: Services = request.app.state.services
    return services


Here = Annotated[Services, Depends(services_of)]
"""A route's parameter: the collaborators of its process."""

"""What the settings say of calls to chargers: workflows read none, so it travels in their input."""

from datetime import timedelta

from berth.settings import Settings
from workflows.messages import Policy


def policy_of(settings: Settings) -> Policy:
    """The durations that a workflow lives by."""
    return Policy(
        call_timeout=timedelta(seconds=settings.ocpp_call_timeout),
        expiry_grace=timedelta(seconds=settings.expiry_grace),
        settle=timedelta(seconds=settings.settle),
        connection_timeout=timedelta(seconds=settings.connection_timeout),
    )


def default_wait(settings: Settings) -> timedelta:
    """How long a caller waits who asks for nothing else: longer than one call to the charger."""
    return timedelta(seconds=settings.ocpp_call_timeout + 5)

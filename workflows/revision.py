"""Which steps a reservation takes: those of the revision that it began with, whatever runs it now."""

from temporalio import workflow

from workflows.messages import ReservationStart

REVISION = 1
"""Of reservations that begin now."""


class UnknownRevision(Exception):
    """The reservation began with a later release than this worker's: a worker of that one has to go on."""

    def __init__(self, revision: int) -> None:
        super().__init__(
            f"the reservation takes the steps of revision {revision}, and this worker knows them up to "
            f"{REVISION}: upgrade the workers"
        )


def check_revision(start: ReservationStart) -> None:
    """Raises UnknownRevision; it fails the step, which Temporal then offers again to any worker."""
    if start.revision > REVISION:
        raise UnknownRevision(start.revision)


def takes(start: ReservationStart, revision: int, patch: str) -> bool:
    """Whether the reservation began with this revision or a later one.

    What began before there were revisions asks Temporal, under the name that the change had then. That writes
    a marker, and its replay may miss it: a look into the reservation can cut a step between the answer of a
    local activity and the marker (SDK 1.35), and no worker could ever go on with the reservation.
    """
    return start.revision >= revision or workflow.patched(patch)

"""Callers' requests: those whose turn has not come, and those whose outcome is not known yet."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from workflows.reservation.inputs import Command, ReserveCommand


@dataclass
class OpenRequest:
    """A command without an outcome; `is_answered`: its caller was answered Pending, or nobody waits."""

    command: Command
    is_answered: bool = False

    def __post_init__(self) -> None:
        self.is_answered = self.command.key is None

    @property
    def holds_while_offline(self) -> bool:
        """Whether its caller waits also for a charger that is offline."""
        return isinstance(self.command, ReserveCommand) and self.command.request.hold_while_offline


@dataclass
class Requests:
    """All of them. They are of this run alone: it continues as new when no caller waits any more."""

    queue: deque[OpenRequest] = field(default_factory=deque)  # those behind an end that is under way
    reserves: list[OpenRequest] = field(default_factory=list)  # wait for the outcome of what is desired
    cancels: list[OpenRequest] = field(default_factory=list)  # wait for the charger to hold nothing

    def unanswered(self) -> Iterator[OpenRequest]:
        """Those whose callers wait."""
        for request in (*self.queue, *self.reserves, *self.cancels):
            if not request.is_answered:
                yield request

    def next_pending_at(self) -> datetime | None:
        """When the time of the next caller is over."""
        times = (request.command.answer_by for request in self.unanswered())
        return min((at for at in times if at is not None), default=None)

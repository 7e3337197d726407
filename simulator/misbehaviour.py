"""Things a charger can be told to do wrong, once each."""

from dataclasses import dataclass
from enum import StrEnum


class Wrong(StrEnum):
    """What goes wrong with the next command."""

    DROP_BEFORE = "drop_before"
    """The socket dies; the command was never seen."""
    DROP_UNANSWERED = "drop_unanswered"
    """The charger does it; the socket dies before the answer."""
    DROP_AFTER = "drop_after"
    """The charger does it and answers; then the socket dies."""
    IGNORE = "ignore"
    """Nothing is done and nothing answered; the socket stays."""
    NO_ANSWER = "no_answer"
    """The charger does it and never answers; the socket stays."""
    LATE = "late"
    """The charger does it and answers after some seconds."""
    CALL_ERROR = "call_error"
    """Nothing is done; the answer is a CALLERROR."""
    GARBAGE = "garbage"
    """The charger does it; the answer is not what OCPP asks for."""
    STATUS = "status"
    """Nothing is done; the answer is the status given."""
    TWICE = "twice"
    """The charger does it and answers twice."""


DOES_NOTHING = frozenset({Wrong.DROP_BEFORE, Wrong.IGNORE, Wrong.CALL_ERROR, Wrong.STATUS})


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One planned wrong; `action` None is the next command whatever it is."""

    kind: Wrong
    action: str | None = None
    code: str = "InternalError"
    text: str = ""
    seconds: float = 0.0
    status: str = "Rejected"


class Misbehaviours:
    """What is planned, in order."""

    def __init__(self) -> None:
        self._planned: list[Misbehaviour] = []

    def plan(self, misbehaviour: Misbehaviour, times: int = 1) -> None:
        """Do this wrong the next so many times."""
        self._planned.extend([misbehaviour] * times)

    def take(self, action: str) -> Misbehaviour | None:
        """The wrong planned for this command, which is then done with."""
        for misbehaviour in self._planned:
            if misbehaviour.action in (None, action):
                self._planned.remove(misbehaviour)
                return misbehaviour
        return None

    def clear(self) -> None:
        """Behave again."""
        self._planned.clear()

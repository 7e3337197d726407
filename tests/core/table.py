"""Every situation with everything that can happen in it: `python -m tests.core.table` writes the table anew.

A row says what comes of it: the state, the step that is due then, and the effects. The file is read in
review: a change of a row is a change of what Berth does.
"""

from pathlib import Path

from tests.core.situations import HAPPENINGS, SITUATIONS, Reserving, outcomes
from workflows.messages import ReserveAnswer
from workflows.reservation.effects import Answer, Effect, Note, StateReached, TermsShown
from workflows.reservation.inputs import Decision
from workflows.reservation.steps import SendCancelReservation, SendReserveNow, Step, Wait

FILE = Path(__file__).parent.parent / "data" / "reservation-table.txt"


TOLD = ("transaction unexplained", "asking again", "violated", "making sure", "cleaning up")
"""Lines of the timeline that no state beside them tells of."""


def rows() -> list[str]:
    """All rows, in the order of the situations."""
    lines: list[str] = []
    for situation, make in SITUATIONS.items():
        first = make()
        lines.append(f"{situation}  [{in_words(first.step, first)}]")
        for name in HAPPENINGS | outcomes(first.step, first.now):
            reserving = make()
            happening = (HAPPENINGS | outcomes(reserving.step, reserving.now))[name]
            effects = reserving.tell(happening)
            shown = "; ".join(filter(None, map(effect_in_words, effects)))
            due = in_words(reserving.step, reserving)
            lines.append(f"  {name:44} {reserving.state:9} | {due:42} | {shown}".rstrip())
    return lines


def in_words(step: Step, reserving: Reserving) -> str:
    """A step, for people."""
    match step:
        case Decision():
            return step.name.lower().replace("_", " ")
        case Wait(until):
            if until is None:
                return "sleep"
            seconds = round((until - reserving.now).total_seconds())
            return f"sleep {seconds} s"
        case SendReserveNow(argument):
            what = argument.terms
            return f"ReserveNow port {what.port_number or 'any'} until {what.expires_at:%H:%M}" + (
                ", repeat" if argument.is_repeat else ""
            )
        case SendCancelReservation(argument):
            moves = "" if argument.moving_to is None else f", moving to {argument.moving_to}"
            return f"CancelReservation{moves}"
    return type(step).__name__


def effect_in_words(effect: Effect) -> str:
    """An effect, for people; lines of the timeline are told by the states beside them."""
    match effect:
        case Answer(_, answer):
            kind = "reserve" if isinstance(answer, ReserveAnswer) else "cancel"
            reason = "" if answer.reason is None else f" {answer.reason}"
            return f"answer {kind}: {answer.status}{reason}"
        case StateReached(state, reason):
            return f"-> {state}" + ("" if reason is None else f" {reason}")
        case TermsShown(terms):
            return f"show port {terms.port_number} until {terms.expires_at:%H:%M}"
        case Note(entry):
            return (
                f"“{entry.event}”"
                if entry.event in ("transaction unexplained", "asking again", "violated")
                else ""
            )


if __name__ == "__main__":
    FILE.write_text("\n".join(rows()) + "\n")

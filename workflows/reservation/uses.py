"""What a transaction says about a reservation: used, violated, or something less."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from workflows.messages import Terms, TransactionStarted

_CLOCK_UNSET_BEFORE = 2020


class Verdict(IntEnum):
    """What a transaction means for one reservation; of several, the greatest counts."""

    NOTHING = 0
    UNDECIDED = 1  # at our port, its token not known yet
    UNEXPLAINED = 2  # by our token, at a time that does not fit
    VIOLATED = 3
    USED = 4


@dataclass(frozen=True)
class Window:
    """When a use may have begun: from the first frame to the expiry, `skew` allowed for a charger's clock."""

    first_sent_at: datetime
    skew: timedelta
    has_ended: bool  # the reservation has expired; a use in time may still be reported

    def fits(self, event: TransactionStarted, expires_at: datetime) -> bool:
        """Whether the transaction began in the time of the reservation.

        One that is new on a live socket began when it was received, whatever the charger's clock says. One
        from an offline queue began by its own time stamp; a charger that never learned the time reports
        years long gone, and then the time of receipt counts.
        """
        if not event.offline:
            return not self.has_ended or event.at <= expires_at + self.skew
        return self.first_sent_at - self.skew <= _by_its_clock(event) <= expires_at + self.skew

    def names_in_time(self, event: TransactionStarted, expires_at: datetime) -> bool:
        """Whether a transaction that names our number did not begin after the reservation had expired.

        OCPP 1.6 does not mark what comes from a queue, so here its own time counts, live or not.
        """
        return not self.has_ended or _by_its_clock(event) <= expires_at + self.skew


def judge(event: TransactionStarted, reservation_id: int, terms: Terms, window: Window) -> Verdict:
    """Attribute a transaction to the reservation `reservation_id` with `terms`.

    Our number decides, whoever the token and whatever the charger's clock (OCPP 1.6 §4.8, 2.0.1 E01.FR.13),
    unless the transaction had begun before we asked; or after the expiry, of a reservation that has expired.
    Numbers 0, -1 and nobody's, and none, prove nothing: then the token or its group decides, at the reserved
    port or anywhere for a whole-charger reservation. A foreign token without a number at the reserved port is
    a violation.
    """
    if event.is_known:
        return Verdict.NOTHING
    if event.reservation_id is not None and event.reservation_id > 0:
        if event.reservation_id == reservation_id:
            return Verdict.USED if window.names_in_time(event, terms.expires_at) else Verdict.NOTHING
        if event.is_id_live:
            return Verdict.NOTHING
    if terms.port_number not in (None, event.port_number):
        return Verdict.NOTHING
    if event.id_tag is None:
        return Verdict.UNDECIDED  # TxStartPoint EVConnected: the token comes with a later event
    fits = window.fits(event, terms.expires_at)
    if is_ours(event, terms):
        return Verdict.USED if fits else Verdict.UNEXPLAINED
    return Verdict.VIOLATED if fits and terms.port_number is not None else Verdict.NOTHING


def _by_its_clock(event: TransactionStarted) -> datetime:
    """When it began by its charger's clock, or by its receipt if that never learned the time."""
    began = event.started_at
    return event.at if began is None or began.year < _CLOCK_UNSET_BEFORE else began


def is_ours(event: TransactionStarted, terms: Terms) -> bool:
    """Whether the transaction's token is the reserved one or of its group: by value, type ignored.

    Tokens are case-insensitive (OCPP 1.6 §7.28, 2.0.1 §2.28); chargers report other types than reserved.
    """
    return _is_token(event, terms) or _same(event.parent_id_tag, terms.parent_id_tag)


def shows_release(event: TransactionStarted, reservation_id: int, terms: Terms) -> bool:
    """Whether this use proves that the charger let the reservation go.

    A charger that names our number, or lets the reserved token in at the reserved port, has used it up. One
    that starts without the number for a group token, or at any other port, may go on holding it.
    """
    if event.reservation_id == reservation_id:
        return True
    return terms.port_number is not None and _is_token(event, terms)


def _is_token(event: TransactionStarted, terms: Terms) -> bool:
    return _same(event.id_tag, terms.id_tag)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.casefold() == other.casefold()

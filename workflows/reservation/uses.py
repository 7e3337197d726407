"""What a transaction says about a reservation: used, violated, or nothing."""

from datetime import datetime, timedelta
from enum import StrEnum

from workflows.messages import Terms, TransactionStarted

_CLOCK_UNSET_BEFORE = 2020


class Verdict(StrEnum):
    """What a transaction means for one reservation."""

    USED = "used"
    VIOLATED = "violated"
    NOTHING = "nothing"


def judge(event: TransactionStarted, reservation_id: int, terms: Terms) -> Verdict:
    """Attribute a transaction to the reservation `reservation_id` with `terms`.

    Our id decides, whoever the token (OCPP 1.6 §4.8, 2.0.1 E01.FR.13). Ids 0 and -1, and none, prove
    nothing: then the token or its group decides, at the reserved port or anywhere for a whole-charger
    reservation. A foreign token without an id at the reserved port is a violation.
    """
    if event.reservation_id is not None and event.reservation_id > 0:
        return Verdict.USED if event.reservation_id == reservation_id else Verdict.NOTHING
    if terms.port_number is not None and event.port_number != terms.port_number:
        return Verdict.NOTHING
    if event.id_tag is None:
        return Verdict.NOTHING  # TxStartPoint EVConnected: the token comes with a later event
    if is_ours(event, terms):
        return Verdict.USED
    return Verdict.VIOLATED if terms.port_number is not None else Verdict.NOTHING


def is_ours(event: TransactionStarted, terms: Terms) -> bool:
    """Whether the transaction's token is the reserved one or of its group: by value, type ignored.

    Tokens are case-insensitive (OCPP 1.6 §7.28, 2.0.1 §2.28); chargers report other types than reserved.
    """
    if event.id_tag is not None and event.id_tag.casefold() == terms.id_tag.casefold():
        return True
    group = terms.parent_id_tag
    return (
        group is not None
        and event.parent_id_tag is not None
        and event.parent_id_tag.casefold() == group.casefold()
    )


def began_between(event: TransactionStarted, earliest: datetime, latest: datetime, skew: timedelta) -> bool:
    """Whether the transaction began from `earliest` to `latest`, `skew` allowed for the charger's clock.

    A charger that never learned the time reports years long gone: then the time of receipt counts.
    """
    began = event.started_at
    if began is None or began.year < _CLOCK_UNSET_BEFORE:
        began = event.at
    return earliest - skew <= began <= latest + skew

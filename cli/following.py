"""Watching something grow by asking for it again and again, through short absences of the API."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cli.client import MESSAGES, ApiClient, Json, NoAnswer, Refused

EVERY = 1.0
"""Seconds between two looks; a key has 200 requests a minute."""

PATIENCE = 60.0
"""Seconds without an answer after which following ends."""

PAGE = 100

REMEMBERED = 20 * PAGE
"""Messages that are told apart from new ones; they come in by hundreds a second at most."""

END_STATES = frozenset({"used", "expired", "cancelled", "removed", "rejected", "failed"})
"""States in which a reservation stays."""

T = TypeVar("T")


def reservation(
    client: ApiClient, charger_id: int, reservation_id: int, say: Callable[[str], None]
) -> Iterator[tuple[Json, Sequence[Json]]]:
    """A reservation as it stands and what is new in its timeline, until it has ended.

    Raises Refused; NoAnswer at the first look, or when the API stays away for PATIENCE seconds.
    """
    known: Sequence[Json] = ()
    for seen in _looks(lambda: client.reservation(charger_id, reservation_id), say):
        timeline = seen.get("timeline", [])
        yield seen, _since(known, timeline)
        known = timeline
        if seen.get("state") in END_STATES:
            return


def messages(
    client: ApiClient, first: int, filters: Json, newer: Json, say: Callable[[str], None]
) -> Iterator[Sequence[Json]]:
    """The last `first` messages that `filters` let through, then new ones as `newer` does; oldest first.

    It never ends by itself. Raises as above.
    """
    floor: int | None = None
    seen: deque[int] = deque(maxlen=REMEMBERED)

    def look() -> list[Json]:
        if floor is None:
            return client.found(MESSAGES, first, **filters).items
        return _unseen(client, newer, floor, frozenset(seen))

    for new in _looks(look, say):
        if floor is None:
            floor = min((message["id"] for message in new), default=0)
        seen.extend(message["id"] for message in new)
        yield sorted(new, key=lambda message: message["id"])


def _unseen(client: ApiClient, filters: Json, floor: int, seen: frozenset[int]) -> list[Json]:
    """What is newer than what was seen; ids may appear a little out of order when several gateways write."""
    new: list[Json] = []
    cursor: str | None = None
    while True:
        page, cursor = client.page(MESSAGES, PAGE, cursor, filters)
        fresh = [message for message in page if message["id"] > floor and message["id"] not in seen]
        new += fresh
        if cursor is None or len(fresh) < len(page):
            return new


def _since(known: Sequence[Json], timeline: Sequence[Json]) -> Sequence[Json]:
    """What `timeline` has after what is known; a long one forgets its middle, another run begins anew."""
    if not known:
        return timeline
    for index in range(len(timeline) - 1, -1, -1):
        if timeline[index] == known[-1]:
            return timeline[index + 1 :]
    return timeline


def _looks(look: Callable[[], T], say: Callable[[str], None]) -> Iterator[T]:
    seen = look()  # the first one must succeed
    while True:
        yield seen
        time.sleep(EVERY)
        seen = _look_patiently(look, say)


def _look_patiently(look: Callable[[], T], say: Callable[[str], None]) -> T:
    deadline = time.monotonic() + PATIENCE
    has_said_so = False
    while True:
        try:
            return look()
        except (NoAnswer, Refused) as error:
            is_passing = isinstance(error, NoAnswer) or error.status >= 500
            if not is_passing or time.monotonic() > deadline:
                raise
            if not has_said_so:
                say(f"{error}; still trying")
                has_said_so = True
        time.sleep(EVERY)

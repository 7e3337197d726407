"""Scripts that hypothesis draws: a make of charger, clocks that are wrong, and what happens."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from hypothesis import strategies as st

from simulator.personality import load_personality, personality_names
from tests.core.checks import WAIT
from tests.core.site import Fate, Site
from workflows.messages import ReserveRequest, Terms

Step = tuple[Any, ...]
"""The name of a method of `Site` or of its driver, and the arguments."""


@dataclass(frozen=True)
class Script:
    """A make of charger, how the first reservation goes, and what happens then."""

    make: str
    on_1_6: bool
    gateway_skew: int  # seconds
    charger_skew: int
    is_online: bool
    fates: tuple[Fate, ...]
    first: Step
    steps: tuple[Step, ...]

    def site(self, now: datetime, **options: Any) -> Site:
        """The site it begins at."""
        personality = load_personality(self.make)
        is_1_6 = self.on_1_6 and "1.6" in personality.versions
        site = Site(
            personality,
            "1.6" if is_1_6 else personality.versions[-1],
            now,
            gateway_skew=timedelta(seconds=self.gateway_skew),
            charger_skew=timedelta(seconds=self.charger_skew),
            **options,
        )
        site.plan.extend(self.fates)
        if not self.is_online:
            site.disconnect()
        return site


def _steps(name: str, *arguments: tuple[Any, ...]) -> list[Step]:
    return [(name, *chosen) for chosen in product(*arguments)]


_FLAGS = (False, True)
_PORTS = (1, 1, 2)
_ROUNDS = [(one, *rest) for one in Fate for rest in ((), *((other,) for other in Fate))]

RESERVES = _steps(
    "reserve",
    (2, 10, 30, 60),  # minutes
    (1, 1, 1, 2, None),  # port
    ("RFID-A", "RFID-A", "RFID-B"),
    _FLAGS,  # of a group
    _FLAGS,  # holds the line while the charger is offline
    (False, False, True),  # rejects an offline charger
    (False, False, False, True),  # force
)

# Each list as likely as the others.
KINDS: list[list[Step]] = [
    RESERVES,
    RESERVES,
    [*_steps("reserve_the_same"), *_steps("repeat_request", ("update", "signal"))],
    _steps("cancel", ("update", "update", "signal", "native")),
    _steps("wait", (3, 40, 70, 200, 400, 1000)),
    _steps("wait", (3, 40, 70, 200, 400, 1000)),
    _steps("wait_for_expiry"),
    _steps("plan_frames", tuple(_ROUNDS)),
    _steps("let_the_charger_think"),
    _steps("disconnect_or_reconnect"),
    _steps("disconnect_or_reconnect"),
    _steps("reboot"),
    _steps("charge", _PORTS, ("RFID-A", "RFID-B", "CHILD", "STRANGER")),
    [*_steps("charge", _PORTS, ("RFID-A",)), *_steps("plug_in", _PORTS)],
    _steps("leave", _PORTS),
    _steps("break_or_mend", _PORTS),
    _steps("reserve_for_other", _PORTS, ("elsewhere", "berth", "forced")),
    [*_steps("repeat_last_event"), *_steps("delay_events", (1, 20, 90))],
    [*_steps("renew"), *_steps("lose_the_database", (3, 60)), *_steps("slow_the_database", (1, 3))],
]


# One draw for each step: to draw costs as much as to live it.
STEPS = [kind[i % len(kind)] for kind in KINDS for i in range(len(RESERVES))]


class Callers:
    """What callers ask for, by the steps of a script."""

    def __init__(self, site: Site) -> None:
        self.last_request: ReserveRequest | None = None
        self._site = site
        self._count = 0

    def reserve(
        self,
        now: datetime,
        minutes: int,
        port: int | None,
        tag: str,
        group: bool,
        hold: bool,
        reject: bool,
        force: bool,
    ) -> ReserveRequest:
        """A request for new terms: no two have the same unless they are meant to."""
        seconds = self._count + 1
        terms = Terms(
            port_id=None if port is None else 10 + port,
            port_number=port,
            expires_at=now.replace(microsecond=0) + timedelta(minutes=minutes, seconds=seconds),
            id_tag=tag,
            parent_id_tag="FAMILY" if group else None,
        )
        return self._ask(
            ReserveRequest(
                terms=terms,
                wait=WAIT,
                hold_while_offline=hold,
                offline_policy="reject" if reject else "retry",
                force=force,
            )
        )

    def reserve_the_same(self) -> ReserveRequest | None:
        """Another request for the terms of the last; None once they have expired."""
        last = self.last_request
        if last is None or last.terms.expires_at <= self._site.now:
            return None
        return self._ask(last)

    def until_expiry(self) -> timedelta | None:
        """How long until the last request has expired, and a grace with it; None: it has."""
        last = self.last_request
        if last is None or last.terms.expires_at <= self._site.now:
            return None
        return last.terms.expires_at - self._site.now + timedelta(seconds=35)

    def cancel_id(self) -> str:
        """The id of another cancel."""
        self._count += 1
        return f"cancel-{self._count}"

    def _ask(self, request: ReserveRequest) -> ReserveRequest:
        self._count += 1
        self.last_request = request.model_copy(
            update={"request_id": f"reserve-{self._count}", "route": self._site.route}
        )
        return self.last_request


def scripts(length: int) -> st.SearchStrategy[Script]:
    """Scripts of at most that many steps."""
    flags = st.booleans()
    makes = [name for name in personality_names() if name != "no-reservations"]
    return st.builds(
        Script,
        make=st.sampled_from(makes),
        on_1_6=flags,
        gateway_skew=st.sampled_from([0, -20, 20]),
        charger_skew=st.sampled_from([0, 0, 3600 * 5, -3600 * 5]),
        is_online=st.sampled_from([True, True, True, False]),
        fates=st.sampled_from([(), *_ROUNDS]),
        first=st.sampled_from(RESERVES),
        steps=st.lists(st.sampled_from(STEPS), min_size=length // 2, max_size=length).map(tuple),
    )

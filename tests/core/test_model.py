"""Whatever happens, in whatever order: what a reservation says is so.

Hypothesis draws scripts of everything that can happen to a reservation, and each is lived by the core alone
with a modelled charger of some make, on a virtual clock. `tests/workflows/test_model.py` lives a few of them
on a real server.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.core import checks
from tests.core.driver import Driver
from tests.core.script import Callers, Script, scripts

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
FIXED = settings(
    max_examples=2500,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Sequence:
    """A reservation, and what happens to it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.site = script.site(NOW)
        self.driver = Driver(self.site)
        self.callers = Callers(self.site)

    def live(self) -> None:
        """Live the script; raises AssertionError when something is not as it should be."""
        for name, *arguments in (self.script.first, *self.script.steps):
            if self.driver.is_closed and not name.startswith("reserve"):
                self.take("reserve", *self.script.first[1:])
            self.take(name, *arguments)
        self.finish()

    def take(self, name: str, *arguments: Any) -> None:
        for one in (self, self.driver, self.site):
            if (method := getattr(one, name, None)) is not None:
                method(*arguments)
                break
        self.driver.pump()
        self.driver.skip(timedelta(milliseconds=50))
        self.check()

    # --- steps of callers, and of time ---------------------------------------------------------------------

    def reserve(self, *arguments: Any) -> None:
        self.driver.reserve(self.callers.reserve(self.site.now, *arguments))

    def reserve_the_same(self) -> None:
        if (request := self.callers.reserve_the_same()) is not None:
            self.driver.reserve(request)

    def repeat_request(self, way: str) -> None:
        """The client did not get its answer, and asks again."""
        if (request := self.callers.last_request) is not None:
            self.driver.reserve(request, by_signal=way == "signal")

    def cancel(self, way: str) -> None:
        self.driver.cancel(self.callers.cancel_id(), way)

    def wait(self, seconds: int) -> None:
        self.driver.skip(timedelta(seconds=seconds))

    def wait_for_expiry(self) -> None:
        if (duration := self.callers.until_expiry()) is not None:
            self.driver.skip(duration)

    # --- what must be so -------------------------------------------------------------------------------

    def check(self) -> None:
        driver = self.driver
        checks.check(self.site, driver.calls, driver.snapshot(), is_closed=driver.is_closed)

    def finish(self) -> None:
        """Let everything come right, and time run out."""
        site, driver = self.site, self.driver
        site.come_right()
        for _ in range(40):
            driver.skip(timedelta(minutes=20))
            self.check()
            if driver.is_closed:
                break
        assert driver.is_closed, "it never ended"
        assert all(call.answer is not None for call in driver.calls)
        checks.check_webhooks(site, driver.ends)


@pytest.mark.timeout(0)
def test_what_a_reservation_says_is_so() -> None:
    is_chaos = settings.get_current_profile_name() == "chaos"
    chaos = settings(settings.get_profile("chaos"), max_examples=20_000)
    chosen, length = (chaos, 25) if is_chaos else (FIXED, 15)

    @chosen
    @given(script=scripts(length))
    def live(script: Script) -> None:
        try:
            Sequence(script).live()
        except AssertionError as error:
            error.add_note(f"Lived: {script}")
            raise

    live()

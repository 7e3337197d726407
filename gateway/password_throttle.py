"""Wrong passwords slow down who sends them: no guess is checked before its turn."""

import time
from collections import OrderedDict
from collections.abc import Callable

_KEYS = 10_000


class PasswordThrottle:
    """Counts wrong passwords per key; each is forgotten after a while, the oldest first without room."""

    def __init__(
        self, at_once: int, every: float, keys: int = _KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow `at_once` wrong ones in a row, then one more every `every` seconds."""
        self._at_once = at_once
        self._every = every
        self._keys = keys
        self._clock = clock
        self._forgotten_at: OrderedDict[str, float] = OrderedDict()  # when the last wrong one is
        self._told: set[str] = set()

    def are_too_many(self, key: str) -> bool:
        """Whether another password must wait."""
        return self._forgotten_at.get(key, 0.0) - self._clock() > (self._at_once - 1) * self._every

    def is_news(self, key: str) -> bool:
        """Whether these are too many for the first time since they were few: to be logged once."""
        if key in self._told:
            return False
        self._told.add(key)
        return True

    def count(self, key: str) -> None:
        """Enter a wrong one."""
        now = self._clock()
        begun = max(self._forgotten_at.pop(key, now), now)
        if begun == now:
            self._told.discard(key)
        self._forgotten_at[key] = begun + self._every
        if len(self._forgotten_at) > self._keys:
            self.forget(next(iter(self._forgotten_at)))

    def forget(self, key: str) -> None:
        """The right one was sent."""
        self._forgotten_at.pop(key, None)
        self._told.discard(key)

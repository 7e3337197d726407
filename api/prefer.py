"""How long a caller wants to wait: the Prefer header (RFC 7240)."""

import re
from collections.abc import Sequence
from datetime import timedelta

MAX_WAIT = 60
"""Seconds; a longer wait is shortened, as the RFC lets a server do."""

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)


def preferred_wait(headers: Sequence[str]) -> timedelta | None:
    """The wait asked for by `wait=N` (seconds) or `respond-async` (none); None when nothing is asked for.

    Preferences that are not understood are ignored (RFC 7240 §2).
    """
    preferences = [preference.strip() for header in headers for preference in re.split("[,;]", header)]
    for preference in preferences:
        if match := _WAIT.fullmatch(preference):
            return timedelta(seconds=min(int(match[1]), MAX_WAIT))
    if any(preference.lower() == "respond-async" for preference in preferences):
        return timedelta(0)
    return None

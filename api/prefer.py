"""How long a caller wants to wait: the Prefer header (RFC 7240)."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import Header

MAX_WAIT = 60
"""Seconds; a longer wait is shortened, as the RFC lets a server do."""

Prefer = Annotated[
    str | None,
    Header(
        description="`wait=N`: wait at most N seconds (0 to 60) for the charger's answer, also while it is "
        "offline; `respond-async`: do not wait (RFC 7240). Default: a little longer than a charger may take.",
        examples=["wait=10"],
    ),
]
"""For the documentation; `preferred_wait` reads all of the headers."""

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

"""Children that do not outlive their parent, not even one that is killed with SIGKILL."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _libc_prctl() -> Callable[[int, int], int] | None:
    # Looked up in the parent: between fork and exec a child should do as little as it can.
    return ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` that has Linux kill the child when this process ends; None on other systems.

    The kernel watches the thread that starts the child: start it from one that lives on (the main thread).
    """
    prctl = _libc_prctl()
    if prctl is None:
        return None
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_the_kernel

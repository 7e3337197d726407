"""How long things may take: what is promised for an idle machine, and longer on a busy one."""

import os


def at_most(seconds: float) -> float:
    """`seconds` while every process finds a processor; so much more as processes wait for one."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

"""What processes have used of the machine, as Linux counts it."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(processes: Mapping[str, int]) -> Counter[str]:
    """Seconds of CPU, user and system, of running processes, given and told by name."""
    return Counter({name: _cpu_seconds(pid) for name, pid in processes.items()})


def resident_bytes(pid: int) -> int:
    """Memory a process holds (RSS)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(pid: int) -> float:
    # Fields 14 and 15, counted from 1; the second is a name in brackets that may have blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS

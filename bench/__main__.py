"""`python -m bench [NAME…]`: run the benchmarks, all or the named ones, and print their table."""

import asyncio
import sys

from bench import api_calls, idle, inbound, overheads, tls, whole_path
from bench.table import show

BENCHMARKS = {
    "whole_path": whole_path.measure,
    "overheads": overheads.measure,
    "idle": idle.measure,
    "tls": tls.measure,
    "inbound": inbound.measure,
    "api_calls": api_calls.measure,
}


def main() -> None:
    """Run them one after the other: each has the machine to itself."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    figures = []
    for name in names:
        print(f"running {name} …", file=sys.stderr)
        figures += asyncio.run(BENCHMARKS[name]())
    show(figures)


main()

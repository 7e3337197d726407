"""Many stored reservations out of a few: their rows in the file of an embedded Temporal server, copied.

Storing 100 000 one by one takes more than half an hour, copying them half a minute. A copy is all that
Temporal keeps of a reservation (its state, its whole history, its line in the lists with every index), under
a number, a workflow id and a run id of its own, inside the records too: server, worker and API cannot tell it
from one that was asked for. The server's tasks are not copied: a copy neither expires nor is deleted later.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

FIRST_NUMBER = 100_000_000
"""Of the reservations to be copied. The copies' numbers have as many digits: records keep their lengths."""

STEP = 1000
"""From the number of a reservation to that of its next copy."""

# Tables with rows of a reservation that waits or has ended, and the column of its run; a history's tree is
# named for its run. Others (activities under way, buffered events) have none then.
_TABLES = {
    "executions": "run_id",
    "current_executions": "run_id",
    "timer_info_maps": "run_id",
    "signals_requested_sets": "run_id",
    "history_tree": "tree_id",
    "history_node": "tree_id",
    "executions_visibility": "run_id",
}

# The file is thrown away at the end, or at a failure.
_FAST = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000"

_RESERVATIONS = """
    SELECT workflow_id, run_id FROM executions WHERE workflow_id LIKE 'reservation-%' ORDER BY run_id
"""

_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"


@dataclass(frozen=True)
class _Identity:
    number: int
    run: UUID

    def copy(self, index: int) -> "_Identity":
        return _Identity(self.number + index * STEP, UUID(int=self.run.int + index))

    @property
    def spellings(self) -> list[bytes]:
        """How records write it; each has the length of the same one of every copy."""
        return [self.run.bytes, str(self.run).encode(), str(self.number).encode()]


def duplicate(source: Path, target: Path) -> None:
    """Copy a SQLite file as it stands, while its process runs."""
    with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)


def multiply(database: Path, times: int) -> None:
    """Have `times` as many reservations in the file of a Temporal server that does not run."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(_FAST)
        # Sixty indexes are quicker made anew than filled row by row.
        indexes = connection.execute(_INDEXES, ("executions_visibility",)).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        originals = [
            _Identity(int(workflow_id.rpartition("-")[2]), UUID(bytes=run_id))
            for workflow_id, run_id in connection.execute(_RESERVATIONS)
        ]
        for table, key in _TABLES.items():
            # Generated columns are not among these: SQLite computes them of the copies.
            columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            # By bytes or, in the lists, by text. Before the first copy: no index begins with the key.
            query = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} IN (?, ?)"
            rows = {
                original: connection.execute(query, (original.run.bytes, str(original.run))).fetchall()
                for original in originals
            }
            places = ", ".join("?" * len(columns))
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", _copies(rows, times)
            )
        for _, sql in indexes:
            connection.execute(sql)
        connection.commit()


def _copies(originals: dict[_Identity, list[tuple[Any, ...]]], times: int) -> Iterator[list[Any]]:
    for original, found in originals.items():
        pattern = re.compile(b"(" + b"|".join(map(re.escape, original.spellings)) + b")")
        rows = [(row, _cut(row, pattern)) for row in found]
        for index in range(1, times):
            anew = dict(zip(original.spellings, original.copy(index).spellings, strict=True))
            for row, cut in rows:
                copy = list(row)
                for column, pieces in cut:
                    value = b"".join([anew.get(piece, piece) for piece in pieces])
                    copy[column] = value.decode() if isinstance(row[column], str) else value
                yield copy


def _cut(row: tuple[Any, ...], pattern: re.Pattern[bytes]) -> list[tuple[int, list[bytes]]]:
    """The columns in which the pattern occurs, each in pieces: what matches is a piece of its own."""
    cut = []
    for column, value in enumerate(row):
        raw = value.encode() if isinstance(value, str) else value
        if isinstance(raw, bytes) and len(pieces := pattern.split(raw)) > 1:
            cut.append((column, pieces))
    return cut

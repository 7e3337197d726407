"""What went over a charger's socket, and when."""

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from simulator.clock import Clock


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame as the charger saw it; `text` is what was on the wire."""

    at: datetime
    direction: Literal["in", "out"]
    text: str

    @property
    def frame(self) -> list[Any]:
        """The frame as JSON values. Raises ValueError when it is none."""
        frame: list[Any] = json.loads(self.text)
        return frame

    def is_call(self, action: str) -> bool:
        """Whether it is a CALL of that action."""
        return self.text.startswith("[2") and self.frame[2] == action


class Recorder:
    """The last frames of one charger."""

    def __init__(self, clock: Clock, keep: int) -> None:
        self._clock = clock
        self._records: deque[FrameRecord] = deque(maxlen=keep)

    @property
    def records(self) -> tuple[FrameRecord, ...]:
        """What is kept, oldest first."""
        return tuple(self._records)

    def write(self, direction: Literal["in", "out"], text: str) -> None:
        """Add a frame; the oldest gives way."""
        if self._records.maxlen == 0:
            return
        self._records.append(FrameRecord(self._clock(), direction, text))

    def payloads(self, action: str, direction: Literal["in", "out"] = "out") -> list[dict[str, Any]]:
        """The payloads of all CALLs of an action, oldest first."""
        return [
            record.frame[3]
            for record in self._records
            if record.direction == direction and record.is_call(action)
        ]

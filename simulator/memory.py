"""What a charger still knows after its power was off."""

import json
import os
from pathlib import Path
from typing import Any, Protocol


class Memory(Protocol):
    """Keeps one JSON object."""

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None when nothing was."""

    def save(self, content: dict[str, Any]) -> None:
        """Keep this instead."""


class ObjectMemory:
    """A memory that can be handed from one charger object to the next."""

    def __init__(self) -> None:
        self._content: str | None = None

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None when nothing was."""
        content: dict[str, Any] | None = None if self._content is None else json.loads(self._content)
        return content

    def save(self, content: dict[str, Any]) -> None:
        """Keep this instead."""
        self._content = json.dumps(content)


class FileMemory:
    """A memory in a small file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None when nothing was."""
        if not self._path.exists():
            return None
        content: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
        return content

    def save(self, content: dict[str, Any]) -> None:
        """Keep this instead."""
        self._path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(content), "utf-8")
        os.replace(draft, self._path)

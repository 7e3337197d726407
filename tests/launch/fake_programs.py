"""Executables that play the Temporal tool and Go."""

from pathlib import Path


def executable(path: Path, script: str) -> Path:
    """A shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def temporal(path: Path, version: str = "1.9.1", server: str = "1.32.0") -> Path:
    """A Temporal tool that knows nothing but its version."""
    return executable(path, f'echo "temporal version {version} (Server {server}, UI 2.54.1)"')


def go(path: Path, log: Path, seconds: float = 0.0) -> Path:
    """Go that "builds" a good Temporal tool after some seconds, and writes a line to `log` each time."""
    return executable(
        path,
        f"""
echo built >> '{log}'
echo "go.temporal.io/server/api" >&2
/bin/sleep {seconds}
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)"\\n' > "$2"
/bin/chmod +x "$2"
""",
    )

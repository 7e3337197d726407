"""The folder of `berth up`: its databases, its logs, its key."""

from pathlib import Path

from berth.errors import StartError


def ensure_var(var: Path) -> None:
    """Create the folder, for its owner only, unless it is there. Raises StartError when that cannot be."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"BERTH_VAR: cannot use {var} as a folder ({error.strerror})") from error

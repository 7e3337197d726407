"""The folder of `berth up`: its databases, its logs, its key."""

import os
import secrets
from pathlib import Path

from berth.errors import StartError


def ensure_var(var: Path) -> None:
    """Create the folder, for its owner only, unless it is there. Raises StartError when that cannot be."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"BERTH_VAR: cannot use {var} as a folder ({error.strerror})") from error


def api_key_file(var: Path) -> Path:
    """Where the key is kept."""
    return var / "api-key"


def kept_api_key(var: Path) -> str:
    """The key in the file, made when there is none yet. Raises StartError when the folder is no good."""
    path = api_key_file(var)
    ensure_var(var)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    key = "berth_" + secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
    return key

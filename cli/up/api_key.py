"""The API key of `berth up`: made once, kept in a file that only its owner reads."""

import os
import secrets
from pathlib import Path

from cli.up.var_folder import ensure_var


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

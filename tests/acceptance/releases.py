"""Earlier releases of Berth, kept as archives of their code, to be run and upgraded.

    python -m tests.acceptance.releases NAME COMMIT

keeps the code of COMMIT (a tag, at best) under NAME.
"""

import gzip
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.launch.commands import ROOT

RELEASES = ROOT / "tests" / "data" / "releases"

CODE = (
    "activities",
    "api",
    "berth",
    "cli",
    "gateway",
    "webhooks",
    "worker.py",
    "workflows",
)
"""What the processes of an installation are made of. Simulated chargers are always the present ones."""


def kept_releases() -> list[str]:
    """The names of the releases that there are archives of."""
    return sorted(path.name.removesuffix(".tar.gz") for path in RELEASES.glob("*.tar.gz"))


def unpack(name: str, folder: Path) -> Path:
    """Put a release's code into `folder`, and return it."""
    with tarfile.open(RELEASES / f"{name}.tar.gz") as archive:
        if hasattr(tarfile, "data_filter"):  # the first Python 3.11 have none
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
    return folder


def keep(name: str, commit: str) -> Path:
    """Archive the code of a commit; the same commit gives the same file."""
    command = ["git", "archive", "--format=tar", commit, *CODE]
    tar = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    path = RELEASES / f"{name}.tar.gz"
    path.write_bytes(gzip.compress(tar, mtime=0))
    return path


if __name__ == "__main__":
    keep(*sys.argv[1:])

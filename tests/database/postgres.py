"""A private PostgreSQL server in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

from berth.ports import free_port
from tests.servers import need

START_WITHIN = 60.0  # seconds
SUPERUSER = "berth"


class PostgresServer:
    """Started by the constructor, on a free port of 127.0.0.1; `stop` ends it and removes its files."""

    def __init__(self) -> None:
        self._bin = need("initdb").resolve().parent
        self._as_user = _unprivileged()
        # Not under pytest's folder: when root runs the tests, no other user may enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="berth-postgres-"))
        self._names = count(1)
        if self._as_user:
            os.chown(self._folder, pwd.getpwnam(self._as_user["user"]).pw_uid, -1)
        self._run("initdb", "--auth=trust", "--no-sync", f"--username={SUPERUSER}", "--pgdata=data")
        self.port = free_port()
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._bin / "postgres",
                    *("-D", "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder)),
                    *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
                ],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._as_user,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def create_database(self, template: str = "template1") -> str:
        """The name of a new database, a copy of `template`."""
        name = f"test{next(self._names)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-T", template, name)
        return name

    def url(self, database: str) -> str:
        """Berth's URL of a database."""
        return f"postgresql+asyncpg://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End the server and remove its files."""
        self._process.send_signal(signal.SIGINT)  # unlike SIGTERM it does not wait for clients
        self._process.wait(timeout=60)
        shutil.rmtree(self._folder)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_WITHIN
        asking = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asking, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


def _unprivileged() -> dict[str, Any]:
    """How a subprocess is started as somebody who may run PostgreSQL, which refuses root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}

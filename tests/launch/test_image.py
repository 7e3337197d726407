"""The image's own steps, run without an engine: what is built of what it copies is the whole program."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

EVERY_PROCESS = (
    "import api.process, gateway.process, worker, cli.up.supervisor, cli.codec_server, cli.app; cli.app.run()"
)


def pip(*arguments: str, **environment: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was installed into, built as the Dockerfile builds it."""
    source, tools, wheels, installed = (
        tmp_path_factory.mktemp(name) for name in ("source", "tools", "wheels", "installed")
    )
    for path in re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE):
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, source / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / path, source / path)
    pip("install", "--require-hashes", "--target", str(tools), "-r", str(ROOT / "requirements-build.lock"))
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (build,) = re.findall(r"^RUN pip (wheel .+) \.$", dockerfile, re.MULTILINE)
    words = [str(wheels) if word == "/wheels" else word for word in shlex.split(build)]
    pip(*words, str(source), PYTHONPATH=str(tools))
    (wheel,) = wheels.glob("*.whl")
    pip("install", "--no-index", "--no-deps", "--target", str(installed), str(wheel))
    return installed


def test_the_image_has_every_process_and_command(installed: Path, tmp_path: Path) -> None:
    # Without `site` nothing but these two folders is looked at: not the checkout.
    run = subprocess.run(
        [sys.executable, "-S", "-P", "-c", EVERY_PROCESS, "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{installed}:{sysconfig.get_path('purelib')}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for command in ("api", "gateway", "worker", "migrate", "webhook", "doctor"):
        assert f" {command} " in run.stdout, run.stdout


def test_the_image_has_what_is_no_module(installed: Path) -> None:
    for path in ("berth/database/migrations/versions", "simulator/personalities"):
        names = {file.name for file in (ROOT / path).iterdir() if file.suffix in (".py", ".toml")}
        assert names == {file.name for file in (installed / path).iterdir() if file.name in names}
        assert names

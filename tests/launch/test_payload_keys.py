"""A process without the keys that payloads are encrypted with does not start."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from berth.database import Database
from berth.errors import StartError
from berth.payload_keys import PayloadKey
from berth.settings import Settings
from berth.temporal.payload_key_check import check_payload_keys
from tests.launch.commands import berth

OLD, NEW, IMPOSTOR = PayloadKey("old", b"o" * 32), PayloadKey("new", b"n" * 32), PayloadKey("old", b"x" * 32)


@pytest.fixture
async def database(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Database]:
    shutil.copy(migrated_file, tmp_path / "berth.db")
    async with await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}") as database:
        yield database


def in_setting(*keys: PayloadKey) -> str:
    return ",".join(key.in_setting() for key in keys)


def settings(*keys: PayloadKey) -> Settings:
    return Settings.model_validate({"payload_key": in_setting(*keys) or None})


async def test_the_key_that_encrypts_is_needed_from_then_on(database: Database) -> None:
    await check_payload_keys(settings(), database)
    await check_payload_keys(settings(OLD), database)
    with pytest.raises(StartError, match=r"^BERTH_PAYLOAD_KEY: lacks the key 'old', "):
        await check_payload_keys(settings(), database)
    with pytest.raises(StartError, match=r"^BERTH_PAYLOAD_KEY: lacks the key 'old', "):
        await check_payload_keys(settings(NEW), database)
    await check_payload_keys(settings(OLD), database)


async def test_another_key_under_the_same_id_is_refused(database: Database) -> None:
    await check_payload_keys(settings(OLD), database)
    with pytest.raises(StartError, match=r"^BERTH_PAYLOAD_KEY: its key 'old' is another one "):
        await check_payload_keys(settings(IMPOSTOR), database)


async def test_a_key_that_only_decrypts_is_not_needed_yet(database: Database) -> None:
    await check_payload_keys(settings(OLD, NEW), database)
    await check_payload_keys(settings(OLD), database)


async def test_a_refused_process_leaves_no_key_of_its_own(database: Database) -> None:
    await check_payload_keys(settings(OLD), database)
    with pytest.raises(StartError):
        await check_payload_keys(settings(NEW), database)
    assert set(await database.payload_keys.all()) == {"old"}


async def test_what_is_kept_of_a_key_is_not_the_key(database: Database) -> None:
    await check_payload_keys(settings(OLD), database)
    (proof,) = (await database.payload_keys.all()).values()
    assert OLD.secret.hex() not in proof
    assert OLD.in_setting().partition(":")[2] not in proof


async def test_people_read_one_line_and_can_retire_a_key(database: Database, tmp_path: Path) -> None:
    await check_payload_keys(settings(OLD), database)
    where = {"BERTH_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"}
    run = berth("api", BERTH_PAYLOAD_KEY=in_setting(NEW), **where)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1] == (
        "berth: BERTH_PAYLOAD_KEY: lacks the key 'old', without which reservations cannot be read; add it, "
        "or retire it when its last history is gone: berth payload-key --retire old"
    )

    run = berth("payload-key", "--retire", "old", **where)
    assert (run.returncode, run.stdout) == (0, "The key old is retired; take it out of BERTH_PAYLOAD_KEY.\n")
    await check_payload_keys(settings(NEW), database)
    run = berth("payload-key", "--retire", "old", **where)
    assert run.returncode == 2
    assert "no payload is encrypted with a key 'old'" in run.stderr

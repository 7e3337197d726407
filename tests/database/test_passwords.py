"""A charger's password: what is shown opens, in every form in which chargers send it."""

import pytest

from berth.database import Charger, Database, NewCharger, NewPort
from berth.database.passwords import check_password, hash_password

HEX_KEY = "0001A27B00C1FF3A2E11223344556677"


@pytest.mark.parametrize(
    ("password", "presented"),
    [
        ("plain text of 2.0.1", b"plain text of 2.0.1"),
        ("pässwörd-of-sixteen", "pässwörd-of-sixteen".encode()),
        (HEX_KEY, bytes.fromhex(HEX_KEY)),
        (HEX_KEY, HEX_KEY.encode()),
        (HEX_KEY, HEX_KEY.lower().encode()),
        ("0123456789abcdefghij", b"0123456789abcdefghij".hex().encode()),
    ],
)
def test_bytes_and_their_hexadecimal_text_are_one_secret(password: str, presented: bytes) -> None:
    assert check_password(presented, hash_password(password))


@pytest.mark.parametrize("presented", [b"", b"wrong", HEX_KEY[:-2].encode(), bytes.fromhex(HEX_KEY)[:-1]])
def test_another_secret_is_refused(presented: bytes) -> None:
    assert not check_password(presented, hash_password(HEX_KEY))


def test_a_hash_tells_nothing_of_equal_passwords() -> None:
    assert hash_password(HEX_KEY) != hash_password(HEX_KEY)


async def test_credentials_are_found_by_identity_and_checked(database: Database) -> None:
    charger = await database.chargers.add(NewCharger("CP-1", password=HEX_KEY))
    credentials = await database.chargers.credentials("cp-1")
    assert credentials is not None
    assert credentials.charger_id == charger.id
    assert await credentials.check_password(bytes.fromhex(HEX_KEY))
    assert not await credentials.check_password(b"wrong")
    assert "scrypt" not in repr(credentials)


async def test_a_new_password_replaces_the_old_one(database: Database) -> None:
    charger = await database.chargers.add(NewCharger("CP-1", password="the-first-password"))
    await database.chargers.update(charger.id, password="the-second-password")
    credentials = await database.chargers.credentials("CP-1")
    assert credentials is not None
    assert not await credentials.check_password(b"the-first-password")
    assert await credentials.check_password(b"the-second-password")


async def test_a_charger_without_password_has_nothing_that_opens(
    database: Database, charger: Charger
) -> None:
    credentials = await database.chargers.credentials("CP-1")
    assert credentials is not None
    assert credentials.password_hash is None
    assert not await credentials.check_password(b"")
    await database.chargers.update(charger.id, password="x" * 16)
    without = await database.chargers.update(charger.id, password=None, ports=[NewPort(1)])
    assert without is not None
    assert without.has_password is False


def test_a_password_shows_in_no_record() -> None:
    assert HEX_KEY not in repr(NewCharger("CP-1", password=HEX_KEY))

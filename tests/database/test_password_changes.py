"""While a password is changed, both open: nothing that the charger may have keeps it out."""

import pytest

from berth.database import Charger, Database
from berth.database.password_changes import MOST, Passwords

OLD, NEW, NEWER = "the-password-of-before", "the-new-password", "the-newer-password"


def test_what_is_offered_opens_beside_what_is_there() -> None:
    assert Passwords("old").offered("new") == Passwords("old", ("new",))


def test_what_is_refused_opens_no_more_and_the_others_do() -> None:
    assert Passwords("old", ("new", "newer")).refused("new") == Passwords("old", ("newer",))


def test_what_is_used_ends_the_older_ones_and_none_of_the_newer() -> None:
    assert Passwords("old", ("new", "newer")).used("new") == Passwords("new", ("newer",))
    assert Passwords("old", ("new", "newer")).used("newer") == Passwords("newer")


@pytest.mark.parametrize("hash_", ["old", "unknown"])
def test_the_one_in_force_and_a_strange_one_change_nothing(hash_: str) -> None:
    passwords = Passwords("old", ("new",))
    assert passwords.used(hash_) == passwords.refused(hash_) == passwords


def test_only_the_youngest_are_kept() -> None:
    passwords = Passwords("old")
    for number in range(MOST + 2):
        passwords = passwords.offered(str(number))
    assert passwords == Passwords("old", ("2", "3", "4"))


async def opens(database: Database, password: str) -> bool:
    credentials = await database.chargers.credentials("CP-1")
    assert credentials is not None
    presented = password.encode()
    is_current = await credentials.check_password(presented)
    return is_current or await credentials.newer_password(presented) is not None


async def is_changing(database: Database, charger: Charger) -> bool:
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    return found.has_newer_password


async def test_a_change_from_its_offer_to_its_first_use(database: Database, charger: Charger) -> None:
    changes = database.password_changes
    await database.chargers.update(charger.id, password=OLD)
    assert not await is_changing(database, charger)

    new = await changes.offer(charger.id, NEW)

    assert new is not None
    assert "scrypt" in new
    assert await opens(database, OLD)
    assert await opens(database, NEW)
    assert await is_changing(database, charger)
    assert await changes.use(charger.id, new)
    assert await opens(database, NEW)
    assert not await opens(database, OLD)
    assert not await is_changing(database, charger)
    assert await changes.use(charger.id, new), "said again, it is so already"


async def test_a_refused_one_opens_no_more(database: Database, charger: Charger) -> None:
    new = await database.password_changes.offer(charger.id, NEW)
    assert new is not None
    await database.password_changes.refuse(charger.id, new)
    assert not await opens(database, NEW)
    assert not await is_changing(database, charger)
    assert not await database.password_changes.use(charger.id, new)


async def test_a_password_that_a_person_sets_ends_the_change(database: Database, charger: Charger) -> None:
    new = await database.password_changes.offer(charger.id, NEW)
    assert new is not None
    await database.chargers.update(charger.id, name="another name")
    assert await opens(database, NEW)
    await database.chargers.update(charger.id, password=NEWER)
    assert not await opens(database, NEW)
    assert not await database.password_changes.use(charger.id, new)
    assert await opens(database, NEWER)


async def test_a_charger_that_is_gone_is_offered_none(database: Database) -> None:
    assert await database.password_changes.offer(99, NEW) is None
    assert not await database.password_changes.use(99, "scrypt$")

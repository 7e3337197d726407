"""`berth key …`: over the API, and into the database for the first key."""

import json
from pathlib import Path

import pytest

from tests.cli.stack import Stack
from tests.launch.commands import berth_here


@pytest.mark.usefixtures("stack")
def test_a_key_is_shown_once_listed_and_revoked() -> None:
    created = berth_here("key", "create", "shop", "--site", "north", "--expires", "90d")
    raw_key = created.stdout.strip()
    assert raw_key.startswith("berth_")
    _, shop = json.loads(berth_here("key", "list", "--json").stdout)
    assert (shop["name"], shop["rights"], shop["siteIds"]) == ("shop", ["read", "reservations"], ["north"])
    assert shop["revokedAt"] is None
    table = berth_here("key", "list").stdout
    assert "shop" in table
    assert raw_key not in table
    assert berth_here("key", "revoke", str(shop["id"])).returncode == 0
    _, shop = json.loads(berth_here("key", "list", "--json").stdout)
    assert shop["revokedAt"] is not None


@pytest.mark.usefixtures("stack")
def test_a_new_key_works_and_may_do_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    created = berth_here("key", "create", "reader", "--right", "read", "--json")
    monkeypatch.setenv("BERTH_API_KEY", json.loads(created.stdout)["key"])
    assert berth_here("charger", "list").returncode == 0
    refused = berth_here("charger", "add", "CP-1")
    assert (refused.returncode, refused.stderr) == (1, "berth: this API key lacks the right admin\n")


def test_an_unknown_right_is_wrong_use() -> None:
    run = berth_here("key", "create", "shop", "--right", "fly")
    assert run.returncode == 2
    assert "fly" in run.stderr


@pytest.mark.usefixtures("stack")
def test_a_key_that_is_unknown_is_said_with_the_apis_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_API_KEY", "berth_unknown")
    run = berth_here("key", "list")
    assert (run.returncode, run.stderr) == (2, "berth: this API key is unknown, expired or revoked\n")


def test_the_first_key_needs_the_database_alone(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTH_VAR", str(tmp_path))
    monkeypatch.setenv("BERTH_URL", "http://127.0.0.1:1")
    created = berth_here("key", "create", "me", "--right", "admin", "--charger", "2", "--local", "--json")
    key = json.loads(created.stdout)
    assert (key["rights"], key["chargerIds"]) == (["admin"], [2])
    found = stack.do(lambda database: database.keys.authenticate(key["key"]))
    assert found is not None
    monkeypatch.setenv("BERTH_URL", stack.url)
    (_, listed) = json.loads(berth_here("key", "list", "--json").stdout)
    assert key == listed | {"key": key["key"]}  # the same shape, whoever made it

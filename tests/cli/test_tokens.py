"""`berth token …`: drivers' tokens and their groups."""

import json

import pytest

from tests.launch.commands import berth_here

pytestmark = pytest.mark.usefixtures("stack")


def test_a_token_is_listed_changed_and_forgotten() -> None:
    assert berth_here("token", "add", "CARD-1", "--parent", "FLEET-1").returncode == 0
    assert berth_here("token", "add", "card-2", "--status", "Blocked", "--json").returncode == 0
    assert json.loads(berth_here("token", "list", "--json").stdout) == [
        {"idTag": "CARD-1", "parentIdTag": "FLEET-1", "status": "Accepted"},
        {"idTag": "card-2", "parentIdTag": None, "status": "Blocked"},
    ]
    assert berth_here("token", "add", "card-1").returncode == 0
    assert "FLEET-1" not in berth_here("token", "list").stdout
    assert berth_here("token", "remove", "CARD-1").returncode == 0
    again = berth_here("token", "remove", "CARD-1")
    assert (again.returncode, again.stderr) == (1, "berth: idTag: is not listed\n")


def test_an_empty_list_says_how_to_begin() -> None:
    assert "berth token add" in berth_here("token", "list").stdout

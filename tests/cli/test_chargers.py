"""`berth charger …` against the API."""

import json
from typing import Any

import pytest

from berth.database import NewCharger, NewPort
from tests.cli.odd_server import Answer, OddServer
from tests.cli.stack import Stack
from tests.launch.commands import Ended, berth_here


def charger(run: Ended) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    shown: dict[str, Any] = json.loads(run.stdout)
    return shown


@pytest.mark.usefixtures("stack")
def test_a_charger_is_added_listed_shown_and_not_added_twice() -> None:
    added = charger(berth_here("charger", "add", "CP-1", "--ports", "2", "--site", "north", "--json"))
    assert [port["portNumber"] for port in added["ports"]] == [1, 2]
    assert json.loads(berth_here("charger", "list", "--json").stdout) == [added]
    assert json.loads(berth_here("charger", "list", "--site", "south", "--json").stdout) == []
    assert charger(berth_here("charger", "show", "cp-1", "--json")) == added
    assert charger(berth_here("charger", "show", str(added["id"]), "--json")) == added
    table = berth_here("charger", "list").stdout
    assert "CP-1" in table
    assert "offline" in table
    assert table.count("unknown") == 2, "nobody knows yet what it can do"
    again = berth_here("charger", "add", "CP-1")
    assert (again.returncode, again.stderr) == (1, "berth: ocppId: is taken\n")


@pytest.mark.usefixtures("stack")
def test_ports_can_be_described() -> None:
    run = berth_here("charger", "add", "CP-1", "--port", "1:CCS1:150", "--port", "2::50", "--json")
    ports = charger(run)["ports"]
    assert [(port["connectorType"], port["maximumPowerKw"]) for port in ports] == [
        ("CCS1", 150),
        (None, 50),
    ]


@pytest.mark.parametrize("port", ["one", "1:CCS1:much", "1:CCS1:nan"])
def test_a_port_that_makes_no_sense_is_wrong_use(port: str) -> None:
    assert berth_here("charger", "add", "CP-1", "--port", port).returncode == 2


@pytest.mark.usefixtures("stack")
def test_what_is_set_changes_and_the_rest_stays() -> None:
    berth_here("charger", "add", "CP-1", "--name", "Left", "--site", "north")
    run = berth_here("charger", "set", "CP-1", "--name", "Right", "--latitude", "-33.9", "--json")
    changed = charger(run)
    assert (changed["name"], changed["latitude"], changed["siteId"]) == ("Right", -33.9, "north")
    cleared = charger(
        berth_here("charger", "set", "CP-1", "--clear", "site", "--clear", "latitude", "--json")
    )
    assert (cleared["name"], cleared["latitude"], cleared["siteId"]) == ("Right", None, None)


@pytest.mark.parametrize("arguments", [(), ("--name", "Left", "--clear", "name"), ("--latitude", "nan")])
def test_to_set_nothing_or_nonsense_is_wrong_use(arguments: tuple[str, ...]) -> None:
    assert berth_here("charger", "set", "CP-1", *arguments).returncode == 2


def test_a_password_comes_from_standard_input_and_is_kept(stack: Stack) -> None:
    run = berth_here("charger", "add", "CP-1", "--password", "-", stdin="a long password\n")
    assert run.returncode == 0
    assert "BERTH_OPEN_CHARGERS" not in run.stdout
    found = stack.do(lambda database: database.chargers.by_identity("CP-1"))
    assert found is not None
    assert found.has_password
    assert berth_here("charger", "set", "CP-1", "--clear", "password").returncode == 0
    found = stack.do(lambda database: database.chargers.by_identity("CP-1"))
    assert found is not None
    assert not found.has_password


@pytest.mark.usefixtures("stack")
def test_a_password_that_is_not_there_is_wrong_use() -> None:
    assert berth_here("charger", "add", "CP-1", "--password", "-").returncode == 2


@pytest.mark.usefixtures("stack")
def test_the_least_security_profile_is_set_and_cleared() -> None:
    assert (
        charger(berth_here("charger", "add", "CP-1", "--security-profile", "2", "--json"))["securityProfile"]
        == 2
    )
    assert (
        charger(berth_here("charger", "set", "CP-1", "--security-profile", "0", "--json"))["securityProfile"]
        == 0
    )
    assert (
        charger(berth_here("charger", "set", "CP-1", "--clear", "security-profile", "--json"))[
            "securityProfile"
        ]
        is None
    )
    assert berth_here("charger", "set", "CP-1", "--security-profile", "4").returncode == 2


@pytest.mark.usefixtures("stack")
def test_a_charger_without_a_password_is_warned_about() -> None:
    assert "BERTH_OPEN_CHARGERS=true" in berth_here("charger", "add", "CP-1").stdout


@pytest.mark.usefixtures("stack")
def test_one_is_removed_when_asked_for_firmly() -> None:
    berth_here("charger", "add", "CP-1")
    unsure = berth_here("charger", "remove", "CP-1")
    assert unsure.returncode == 2
    assert "--yes" in unsure.stderr
    removed = berth_here("charger", "remove", "CP-1", "--yes")
    assert (removed.returncode, removed.stdout) == (0, "Removed charger 1 (CP-1).\n")
    gone = berth_here("charger", "show", "CP-1")
    assert (gone.returncode, gone.stderr) == (1, "berth: ocppId: there is no charger CP-1\n")


def test_long_lists_come_in_pages_and_a_cut_one_says_so(stack: Stack) -> None:
    async def fill(database: object) -> None:
        for number in range(7):
            await stack.database.chargers.add(NewCharger(f"CP-{number}", ports=[NewPort(1)]))

    stack.do(fill)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.client.PAGE", 3)
        all_of_them = berth_here("charger", "list", "--all", "--json")
        exactly = berth_here("charger", "list", "--limit", "7", "--json")
        cut = berth_here("charger", "list", "--limit", "4", "--json")
    assert len(json.loads(all_of_them.stdout)) == 7
    assert (len(json.loads(exactly.stdout)), exactly.stderr) == (7, "")
    assert len(json.loads(cut.stdout)) == 4
    assert cut.stderr == "berth: there are more than 4: narrow it down, raise --limit, or ask for --all\n"


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"status": "Accepted"}, 0, "took a new password"),
        ({"status": "RebootRequired"}, 0, "with its next restart"),
        ({"status": "Pending", "reason": "NoResponse"}, 4, "so both open"),
        ({"status": "Rejected", "reason": "NotSupported"}, 1, "keeps its password: Rejected, NotSupported"),
    ],
)
def test_a_new_password_ends_with_the_chargers_word(
    odd: OddServer, answer: dict[str, str], code: int, said: str
) -> None:
    odd.answers = [Answer(202 if code == 4 else 200, {"data": {"chargerId": 7, **answer}})]
    run = berth_here("charger", "rotate-password", "7")
    assert run.returncode == code
    assert said in run.stdout
    assert odd.heard == [("POST", "/api/chargers/7/password", None)]


@pytest.mark.usefixtures("stack")
def test_a_charger_that_is_away_keeps_its_password() -> None:
    berth_here("charger", "add", "CP-1")
    run = berth_here("charger", "rotate-password", "CP-1", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout) == {"chargerId": 1, "status": "Rejected", "reason": "ChargerOffline"}

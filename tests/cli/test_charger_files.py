"""`berth charger import` and `export`: all or nothing, and every mistake with its line and column."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from berth.database import NewCharger, NewPort
from tests.cli.odd_server import Answer, OddServer
from tests.cli.stack import Stack
from tests.launch.commands import Ended, berth_here

FILE = """\
ocppId,name,siteId,externalId,latitude,longitude,type,portNumber,portName,connectorType,maximumPowerKw
CP-1,"Garage, left",north,G-1,52.52,13.405,DCFC,1,Left,CCS1,150
CP-1,,,,,,,2,Right,CHAdeMO,50.5
CP-2,,south,,,,Level 2,1,,J1772,
CP-3,,,,,,,,,,
"""

Import = Callable[..., Ended]


@pytest.fixture
def do_import(tmp_path: Path) -> Import:
    """Import this text or these bytes as a file."""

    def do_import(content: str | bytes, *options: str) -> Ended:
        path = tmp_path / "chargers.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return berth_here("charger", "import", str(path), *options)

    return do_import


def identities() -> list[str]:
    return [charger["ocppId"] for charger in json.loads(berth_here("charger", "list", "--json").stdout)]


@pytest.mark.usefixtures("stack")
def test_what_was_exported_can_be_imported_and_gives_the_same(do_import: Import) -> None:
    run = do_import(FILE)
    assert (run.returncode, run.stdout) == (0, "3 charger(s) with 3 port(s) added.\n")
    exported = berth_here("charger", "export")
    assert exported.stdout == FILE.replace("50.5", "50.5").replace(",150\n", ",150.0\n")
    for identity in identities():
        berth_here("charger", "remove", identity, "--yes")
    assert berth_here("charger", "import", "-", stdin=exported.stdout).returncode == 0
    assert berth_here("charger", "export").stdout == exported.stdout


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "content",
    [
        "\ufeffOCPP ID;Latitude;port_number;maximum power kW;\r\nCP-1;52,52;1;150,5;\r\n;;;;\r\n",
        "sep=;\r\nocppId;latitude;portNumber;maximumPowerKw\r\nCP-1;52,52;1;150,5\r\n",
        "ocppId\tlatitude\tportNumber\tmaximumPowerKw\nCP-1\t52,52\t1\t150,5",
        "\r\nlatitude,ocppId,maximumPowerKw,portNumber\r\n 52.52 , CP-1 ,150.5,1\r\n",
    ],
    ids=["semicolons and a byte order mark", "Excel's own first line", "tabs", "another order, with spaces"],
)
def test_what_spreadsheets_write_is_understood(do_import: Import, content: str) -> None:
    run = do_import(content, "--json")
    assert run.returncode == 0, run.stderr
    (charger,) = json.loads(run.stdout)["added"]
    assert (charger["ocppId"], charger["latitude"]) == ("CP-1", 52.52)
    assert [(port["portNumber"], port["maximumPowerKw"]) for port in charger["ports"]] == [(1, 150.5)]


@pytest.mark.usefixtures("stack")
def test_every_mistake_is_named_with_its_line_and_column_and_nothing_is_added(do_import: Import) -> None:
    run = do_import(
        "ocppId,name,externalId,latitude,type,portNumber,maximumPowerKw\n"
        "CP-1,,A,,,1,\n"
        "cp-1,,,,,1,\n"
        ",,,,,,\n"
        "CP-2,,A,fifty,,,\n"
        'CP-3,"two\nlines",,,,,\n'
        "CP-4,,,95,DC,one,\n"
        "CP-5,,,95,DC,0,-1\n"
        "CP-6,,,,,,22\n"
        ",lonely,,,,,\n"
        "CP-7,,,,,,,8\n"
        "CP-8,Left,,,,1,\n"
        "CP-8,Right,,,,2,\n"
        "CP-8,,,,,,\n"
    )
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "berth: line 3: ocppId: is another one in line 2, where this charger begins",
        "berth: line 3: portNumber: 1 is in line 2 already",
        "berth: line 5: latitude: must be a number, not 'fifty'",
        "berth: line 5: externalId: is in line 2 already",
        "berth: line 6: name: must have printable characters only",
        "berth: line 8: portNumber: must be a whole number, not 'one'",
        "berth: line 9: latitude: must be less than or equal to 90",
        "berth: line 9: type: must be 'DCFC' or 'Level 2'",
        "berth: line 9: portNumber: must be greater than or equal to 1",
        "berth: line 9: maximumPowerKw: must be greater than or equal to 0",
        "berth: line 10: portNumber: is required for a port",
        "berth: line 11: ocppId: is required",
        "berth: line 12: has 8 cells, the first line has 7",
        "berth: line 14: name: is another one in line 13, where this charger begins",
        "berth: line 15: portNumber: is required: this charger is in line 13",
        "berth: nothing was imported",
    ]
    assert identities() == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "line 1: the first line must name the columns: ocppId, name, "),
        ("ocppId\n", "line 1: there are no chargers in this file"),
        ("identity,name\nCP-1,\n", "line 1: identity: is no column; there are ocppId, "),
        ("name\nLeft\n", "line 1: ocppId: is required as a column"),
        ("ocppId,OCPP ID\nCP-1,CP-1\n", "line 1: ocppId: is there twice"),
        ("ocppId\nCP-1\nM\xfcnchen\n".encode("latin-1"), "line 3: is not UTF-8"),
        ("ocppId\nCP-1\n".encode("utf-16"), "line 1: is not UTF-8"),
        (b"ocppId\nCP\0-1\n", "line 1: is no CSV file"),
        ('ocppId,name\nCP-1,"Left\n', "line 2: is no CSV (unexpected end of data)"),
    ],
)
def test_a_file_that_is_none_is_one_line(do_import: Import, content: str | bytes, sentence: str) -> None:
    run = do_import(content)
    assert run.returncode == 1
    first, last = run.stderr.splitlines()
    assert first.startswith(f"berth: {sentence}")
    assert last == "berth: nothing was imported"


def test_a_file_that_is_not_there_is_wrong_use() -> None:
    assert berth_here("charger", "import", "/nowhere/chargers.csv").returncode == 2


@pytest.mark.usefixtures("stack")
def test_a_dry_run_says_what_would_be_added_and_adds_nothing(do_import: Import) -> None:
    run = do_import(FILE, "--dry-run")
    assert run.returncode == 0
    assert "CP-2" in run.stdout
    assert run.stdout.endswith("3 to add. Nothing was added: this was a dry run.\n")
    assert identities() == []


@pytest.mark.usefixtures("stack")
def test_passwords_are_never_shown(do_import: Import) -> None:
    content = "ocppId,password\nCP-1,correct-horse\n"
    shown = [
        do_import(content, *options) for options in (("--dry-run",), ("--dry-run", "--json"), ("--json",))
    ]
    shown.append(berth_here("charger", "export"))
    assert all(run.returncode == 0 for run in shown)
    assert all("correct-horse" not in run.stdout + run.stderr for run in shown)


def test_what_is_there_already_is_a_mistake_unless_it_may_be_skipped(stack: Stack, do_import: Import) -> None:
    async def add_some(_: object) -> None:
        await stack.database.chargers.add(NewCharger("cp-2", ports=[NewPort(1)]))
        await stack.database.chargers.add(NewCharger("CP-9", external_id="G-1"))

    stack.do(add_some)
    run = do_import(FILE)
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "berth: line 2: externalId: is that of charger 2",
        "berth: line 4: ocppId: is there already, as charger 1",
        "berth: nothing was imported",
    ]
    run = do_import(FILE.replace("G-1", "G-2"), "--skip-existing")
    assert (run.returncode, run.stdout) == (0, "2 charger(s) with 2 port(s) added, 1 there already.\n")
    assert identities() == ["cp-2", "CP-9", "CP-1", "CP-3"]


@pytest.mark.usefixtures("stack")
def test_programs_get_the_mistakes_as_json(do_import: Import) -> None:
    run = do_import("ocppId,latitude\nCP-1,95\n", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["problems"] == [
        {"line": 2, "column": "latitude", "rule": "must be less than or equal to 90"}
    ]


NOTHING_THERE = Answer(200, {"data": [], "pagination": {"hasNextPage": False, "nextPageCursor": None}})
TAKEN = Answer(409, {"error": "ocppId: is taken"})
GONE = Answer(404, {"error": "ocppId: there is no charger CP-2"})
HANGS_UP = Answer(0)
TWO = "ocppId\nCP-1\nCP-2\n"


def added(number: int) -> Answer:
    return Answer(201, {"data": {"id": number, "ocppId": f"CP-{number}", "ports": []}})


def test_when_one_is_refused_the_others_are_taken_back(odd: OddServer, do_import: Import) -> None:
    odd.answers = [NOTHING_THERE, added(1), TAKEN, Answer(204, b"")]
    run = do_import(TWO)
    assert run.returncode == 1
    assert run.stderr == "berth: line 3: ocppId: is taken\nberth: nothing was imported\n"
    assert [heard[:2] for heard in odd.heard[-1:]] == [("DELETE", "/api/chargers/1")]


def test_one_whose_answer_is_lost_is_looked_for_and_taken_back(odd: OddServer, do_import: Import) -> None:
    odd.answers = [NOTHING_THERE, added(1), HANGS_UP, Answer(204, b""), added(2), Answer(204, b"")]
    run = do_import(TWO)
    assert run.returncode == 3
    assert run.stderr.endswith("; nothing was imported\n")
    assert [heard[:2] for heard in odd.heard[-3:]] == [
        ("DELETE", "/api/chargers/1"),
        ("GET", "/api/chargers/by-ocpp-id/CP-2"),
        ("DELETE", "/api/chargers/2"),
    ]


def test_a_fault_of_berth_leaves_the_same_doubt(odd: OddServer, do_import: Import) -> None:
    odd.answers = [NOTHING_THERE, added(1), Answer(502, b"Bad Gateway"), Answer(204, b""), GONE]
    run = do_import(TWO)
    assert run.returncode == 3
    assert "502 Bad Gateway; nothing was imported" in run.stderr


def test_one_that_was_never_added_needs_no_taking_back(odd: OddServer, do_import: Import) -> None:
    odd.answers = [NOTHING_THERE, added(1), HANGS_UP, Answer(204, b""), GONE]
    assert do_import(TWO).stderr.endswith("; nothing was imported\n")


def test_ctrl_c_takes_everything_back(
    odd: OddServer, do_import: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.client.sleep", interrupt)
    wait = Answer(429, {"error": "too many requests"}, {"Retry-After": "12"})
    odd.answers = [NOTHING_THERE, added(1), wait, Answer(204, b""), GONE]
    run = do_import(TWO)
    assert run.returncode == 130
    assert run.stderr.endswith("berth: interrupted at line 3; nothing was imported\n")


def test_what_cannot_be_taken_back_is_named(odd: OddServer, do_import: Import) -> None:
    odd.answers = [NOTHING_THERE, added(1), HANGS_UP]
    run = do_import(TWO)
    assert run.returncode == 3
    assert run.stderr.endswith("could not be removed again: CP-1, CP-2\n")

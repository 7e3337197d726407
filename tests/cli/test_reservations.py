"""`berth reserve`, `cancel`, `list`, `show`: the real API, a real Temporal server, scripted reservations."""

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from berth.database import NewCharger, NewPort
from berth.ports import free_port
from cli.up.temporal_server import TemporalServer
from tests.api.scripted import SCRIPTS, Script
from tests.cli.conftest import point_at
from tests.cli.odd_server import Answer, OddServer
from tests.cli.stack import Stack, running
from tests.launch.commands import berth_here
from tests.launch.waiting import until
from workflows.messages import CancelAnswer, CancelStatus, ReservationState, ReserveAnswer, ReserveStatus

_numbers = itertools.count(5000)


@pytest.fixture(scope="module")
def temporal(temporal_cli: Path) -> Iterator[str]:
    with TemporalServer(temporal_cli, free_port(), free_port()).running() as server:
        yield server.address


@pytest.fixture
def stack(
    migrated_file: Path, tmp_path: Path, temporal: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """A Berth with a worker and a charger that is online; its ports are 1 and 2."""
    queue = f"reservations-{uuid4().hex}"
    monkeypatch.setattr("api.temporal.reservation_start.RESERVATIONS_QUEUE", queue)
    monkeypatch.setattr("api.temporal.forwarded_cancels.RESERVATIONS_QUEUE", queue)
    monkeypatch.setattr("api.temporal.charger_password_changes.RESERVATIONS_QUEUE", queue)
    shutil.copy(migrated_file, tmp_path / "berth.db")
    with running(tmp_path, temporal, queue) as stack:
        point_at(stack.url, stack.key, monkeypatch)

        async def connect(_: object) -> None:
            charger = await stack.database.chargers.add(NewCharger("CP-1", ports=[NewPort(1), NewPort(2)]))
            await stack.database.links.start("abc", "g1", "gateway-g1-abc")
            epoch = (await stack.database.links.take(charger.id, "abc", "ocpp1.6")).epoch
            await stack.database.links.mark_ready(charger.id, epoch)

        stack.do(connect)
        yield stack


@pytest.fixture
def script() -> Iterator[tuple[str, Script]]:
    """A number, and what its reservation does and heard."""
    number = next(_numbers)
    SCRIPTS[number] = Script()
    yield str(number), SCRIPTS[number]
    del SCRIPTS[number]


Scripted = tuple[str, Script]


@pytest.mark.usefixtures("stack")
def test_a_port_is_reserved_shown_listed_and_cancelled(script: Scripted) -> None:
    number, story = script
    options = ("--id", number, "--until", "30m", "--parent", "FLEET-1", "--tag-type", "ISO14443", "--json")
    made = berth_here("reserve", "2", "--tag", "CARD-1", *options)
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert (answer["status"], answer["portId"], answer["reservationId"]) == ("Accepted", 2, int(number))
    assert story.asked[0].terms.parent_id_tag == "FLEET-1"
    assert story.asked[0].terms.id_tag_type == "ISO14443"
    shown = berth_here("show", "CP-1", number)
    assert shown.returncode == 0
    assert "the charger holds port 1" in shown.stdout

    def listed() -> list[int]:
        run = berth_here("list", "--charger", "CP-1", "--port", "2", "--json")
        return [item["reservationId"] for item in json.loads(run.stdout)]

    until("it is listed", lambda: int(number) in listed())
    cancelled = berth_here("cancel", "1", number)
    assert cancelled.returncode == 0
    assert "cancelled" in cancelled.stdout
    until("no more", lambda: berth_here("list", "--state", "active").stdout == "No reservations.\n")


@pytest.mark.usefixtures("stack")
def test_any_port_of_a_charger_is_reserved_without_a_port(script: Scripted) -> None:
    number, story = script
    made = berth_here("reserve", "--charger", "cp-1", "--tag", "CARD-1", "--id", number, "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["chargerId"] == 1
    assert story.asked[0].terms.port_number is None


@pytest.mark.usefixtures("stack")
def test_a_port_can_be_named_by_its_number_at_the_charger(script: Scripted) -> None:
    number, story = script
    of_charger = ("--charger", "CP-1", "--tag", "CARD-1", "--id", number)
    made = berth_here("reserve", *of_charger, "--port-number", "2")
    assert made.returncode == 0, made.stderr
    assert story.asked[0].terms.port_number == 2
    none = berth_here("reserve", *of_charger, "--port-number", "3")
    assert (none.returncode, none.stderr) == (1, "berth: charger 1 (CP-1) has no port number 3\n")


@pytest.mark.usefixtures("stack")
def test_a_no_of_the_charger_is_exit_code_1(script: Scripted) -> None:
    number, story = script
    story.reserve = ReserveAnswer(
        status=ReserveStatus.OCCUPIED, state=ReservationState.REJECTED, reason="Occupied"
    )
    made = berth_here("reserve", "1", "--tag", "CARD-1", "--id", number, "--force")
    assert made.returncode == 1
    assert "Occupied" in made.stdout
    assert story.asked[0].force


@pytest.mark.usefixtures("stack")
def test_a_cancel_that_the_charger_refuses_is_exit_code_1(script: Scripted) -> None:
    number, story = script
    story.cancel = CancelAnswer(status=CancelStatus.REJECTED, state=ReservationState.ACTIVE, reason="Late")
    berth_here("reserve", "1", "--tag", "CARD-1", "--id", number)
    cancelled = berth_here("cancel", "1", number)
    assert cancelled.returncode == 1
    assert "Rejected" in cancelled.stdout


@pytest.mark.usefixtures("stack")
def test_what_is_not_known_yet_is_exit_code_4_with_how_to_go_on(script: Scripted) -> None:
    number, story = script
    story.reserve = None
    made = berth_here("reserve", "1", "--tag", "CARD-1", "--id", number, "--wait", "0")
    assert made.returncode == 4
    assert made.stderr == f"berth: not known yet: `berth show 1 {number} --follow`\n"
    story.cancel = None
    cancelled = berth_here("cancel", "CP-1", number, "--wait", "0")
    assert cancelled.returncode == 4
    assert "Pending" in cancelled.stdout


@pytest.mark.usefixtures("stack")
def test_the_apis_sentence_is_shown_as_it_is() -> None:
    made = berth_here("reserve", "99", "--tag", "CARD-1")
    assert (made.returncode, made.stderr) == (1, "berth: portId: there is no port 99\n")
    shown = berth_here("show", "1", "99")
    assert (shown.returncode, shown.stderr) == (1, "berth: reservationId: charger 1 has no reservation 99\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tag", "C"),
        ("1", "--port-number", "1", "--tag", "C"),
        ("1", "--charger", "CP-1", "--tag", "C"),
        ("1", "--tag", "C", "--until", "soon"),
        ("1",),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(arguments: tuple[str, ...]) -> None:
    assert berth_here("reserve", *arguments).returncode == 2


def test_a_lost_answer_tells_the_number_to_repeat_it_with(odd: OddServer) -> None:
    odd.answers = [Answer(0)]
    run = berth_here("reserve", "1", "--tag", "CARD-1")
    assert run.returncode == 3
    ((_, _, body),) = odd.heard
    assert run.stderr.endswith(f"(repeat it safely with --id {body['reservationId']})\n")
    assert run.stderr.count("\n") == 1


def seen(state: str, *events: str) -> Answer:
    timeline = [{"at": "2026-11-23T12:00:00Z", "event": event, "detail": f"{event}!"} for event in events]
    data = {"chargerId": 1, "reservationId": 7, "state": state, "reason": None, "timeline": timeline}
    return Answer(200, {"data": data})


def test_following_shows_each_line_once_until_the_end(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.following.EVERY", 0)
    odd.answers = [
        seen("sending", "requested"),
        seen("sending", "requested"),
        seen("active", "requested", "sent", "active"),
        Answer(503, {"error": "Temporal does not answer"}),
        seen("active", "requested", "active", "kept"),  # a long one forgets its middle
        seen("used", "requested", "kept", "used"),
    ]
    run = berth_here("show", "1", "7", "--follow")
    assert run.returncode == 0
    lines = [re.sub(r"\s+", " ", line).strip() for line in run.stdout.splitlines()]
    events = ("requested", "sent", "active", "kept", "used")
    assert lines == [*(f"2026-11-23T12:00:00Z {event} {event}!" for event in events), "state used"]
    assert run.stderr == "berth: Temporal does not answer; still trying\n"


def test_followers_that_are_programs_get_json_lines(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.following.EVERY", 0)
    odd.answers = [seen("active", "active"), seen("expired", "active", "expired")]
    run = berth_here("show", "1", "7", "-f", "--json")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(line["state"], line["event"]) for line in lines] == [
        ("active", "active"),
        ("expired", "expired"),
    ]


def test_a_reservation_that_is_not_there_cannot_be_followed(odd: OddServer) -> None:
    odd.answers = [Answer(404, {"error": "reservationId: charger 1 has no reservation 7"})]
    assert berth_here("show", "1", "7", "--follow").returncode == 1

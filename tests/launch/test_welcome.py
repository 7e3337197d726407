"""The examples that `berth up` shows must survive copying."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from berth.database import Charger, Port
from cli.up.welcome import RESERVATION_ID, Welcome


def port(port_id: int, number: int) -> Port:
    return Port(port_id, 2, number, None, None, None, "Available", None, None, None, None)


CHARGER = Charger(
    id=2,
    ocpp_identity="SIM-16",
    name=None,
    site_id=None,
    external_id=None,
    manufacturer=None,
    model=None,
    serial_number=None,
    firmware_version=None,
    latitude=None,
    longitude=None,
    charger_type=None,
    has_password=False,
    online=True,
    status_at=None,
    protocol="ocpp1.6",
    ports=(port(7, 1), port(8, 2)),
)


def welcome(*chargers: Charger, open_to_network: bool = False) -> Welcome:
    return Welcome(
        api_url="http://127.0.0.1:8080",
        gateway_url="ws://127.0.0.1:9000",
        ui_url="http://127.0.0.1:8233/namespaces/default",
        api_key="berth_secret",
        api_key_file=None,
        chargers=chargers,
        open_to_network=open_to_network,
    )


def as_words(command: str) -> list[str]:
    """The words of a command, as a shell takes them."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    run = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.rstrip("\0").split("\0")


def shown(welcome: Welcome) -> str:
    out = StringIO()
    welcome.show(Console(file=out, width=40))
    return out.getvalue()


def test_the_first_command_reserves_a_port_for_five_minutes_whenever_it_is_copied() -> None:
    _, reserve = welcome(CHARGER).examples()[0]
    url, *options = as_words(reserve)
    assert url == "http://127.0.0.1:8080/api/ocpp/reservations"
    assert "Authorization: Bearer berth_secret" in options
    body = json.loads(options[-1])
    assert (body["portId"], body["reservationId"]) == (7, RESERVATION_ID)
    ahead = datetime.fromisoformat(body["expiryDate"]) - datetime.now(UTC)
    assert timedelta(minutes=4, seconds=30) < ahead <= timedelta(minutes=5)


def test_the_others_show_and_cancel_the_same_reservation() -> None:
    (_, show), (_, cancel) = welcome(CHARGER).examples()[1:]
    assert as_words(show)[0] == f"http://127.0.0.1:8080/api/ocpp/reservations/2/{RESERVATION_ID}"
    assert json.loads(as_words(cancel)[-1]) == {"chargerId": 2, "reservationId": RESERVATION_ID}


def test_commands_are_never_wrapped() -> None:
    text = shown(welcome(CHARGER))
    assert all(command in text for _, command in welcome(CHARGER).examples())


def test_without_a_charger_there_is_nothing_to_copy_but_where_to_connect_one() -> None:
    text = shown(welcome())
    assert "curl" not in text
    assert "ws://127.0.0.1:9000/ocpp/{identity}" in text
    assert "no charger is online yet" in text


def test_a_gateway_open_to_the_network_is_said() -> None:
    assert "without a password from the network" in shown(welcome(CHARGER, open_to_network=True))
    assert "without a password from the network" not in shown(welcome(CHARGER))

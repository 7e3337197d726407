"""A client generated from the OpenAPI document works over a real socket, and gets what the document says."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints
from uuid import uuid4

import attrs
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import ConfigDict, TypeAdapter

from berth.database import Charger, Database, LoggedMessage, NewCharger
from tests.api.scripted import Script

GENERATOR = Path(sys.prefix, "client-generator", "bin", "openapi-python-client")
"""`make test` installs it there, in a virtual environment of its own."""

STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


class GeneratedClient:
    """The generated package, whose every answer must be of the types that it promises."""

    def __init__(self, url: str, raw_key: str) -> None:
        self.models: Any = import_module("berth_client.models")
        self.connection: Any = import_module("berth_client").AuthenticatedClient(url, raw_key)

    async def call(self, operation: str, *path: object, **parameters: object) -> Any:
        """Make a call such as `chargers.get_charger`. The answer has a `status_code` and a `parsed` model."""
        module = import_module(f"berth_client.api.{operation}")
        response = await module.asyncio_detailed(*path, client=self.connection, **parameters)
        self._check(response.parsed)
        return response

    def _check(self, value: Any) -> None:
        # The client parses dates, words and models itself; texts, numbers and unknown fields it just takes.
        for item in value if isinstance(value, list) else []:
            self._check(item)
        if not attrs.has(type(value)):
            return
        assert value.additional_properties == {}
        names = vars(sys.modules[type(value).__module__]) | vars(self.models)
        for name, promised in get_type_hints(type(value), names).items():
            TypeAdapter(promised, config=STRICT).validate_python(getattr(value, name))
            self._check(getattr(value, name))


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """Where the application listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the client is generated, and imported from."""
    folder = tmp_path_factory.mktemp("generated")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(folder)
        yield folder


@pytest.fixture
async def generated(url: str, folder: Path) -> None:
    """The package `berth_client`; once for all tests, since they have one document."""
    if not (folder / "berth_client").exists():
        arguments = ["generate", "--url", f"{url}/openapi.json", "--meta", "none", "--fail-on-warning"]
        process = await asyncio.create_subprocess_exec(
            GENERATOR,
            *arguments,
            cwd=folder,
            env={"PATH": str(GENERATOR.parent)},  # it formats what it writes, with the ruff it has there
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()


@pytest.fixture
async def client(generated: None, url: str, database: Database) -> AsyncIterator[GeneratedClient]:
    """The generated client of a caller who may reserve and read."""
    raw_key, _ = await database.keys.create("tests", ["reservations", "read"])
    client = GeneratedClient(url, raw_key)
    async with client.connection:
        yield client


@pytest.mark.usefixtures("worker")
async def test_it_reserves_looks_and_cancels(
    client: GeneratedClient, charger: Charger, script: Script, number: int
) -> None:
    models = client.models
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    body = models.ReservationBody(
        port_id=charger.ports[0].id,
        expiry_date=expires_at,
        id_tag="RFID-Tag",
        reservation_id=number,
        id_token_type=models.IdTagType.ISO14443,
    )

    reserved = await client.call("reservations.reserve", body=body)

    assert reserved.status_code == 200
    assert isinstance(reserved.parsed, models.DataReservationOutcome)
    outcome = reserved.parsed.data
    assert outcome.status is models.ReservationOutcomeStatus.ACCEPTED
    assert (outcome.reservation_id, outcome.charger_id, outcome.port_id) == (number, charger.id, body.port_id)
    assert outcome.expiry_date == expires_at
    assert [asked.terms.id_tag_type for asked in script.asked] == ["ISO14443"]

    seen = await client.call("reservations.get_reservation", charger.id, number)

    assert isinstance(seen.parsed, models.DataReservation)
    reservation = seen.parsed.data
    assert (reservation.state, reservation.id_tag) == (models.ReservationState.ACTIVE, "RFID-Tag")
    assert reservation.expiry_date == expires_at
    assert [line.event for line in reservation.timeline] == ["accepted"]

    body = models.CancelBody(charger_id=charger.id, reservation_id=number)
    cancelled = await client.call("reservations.cancel_reservation", body=body)

    assert cancelled.status_code == 200
    assert isinstance(cancelled.parsed, models.DataCancelOutcome)
    assert cancelled.parsed.data.status is models.CancelOutcomeStatus.ACCEPTED
    assert cancelled.parsed.data.state is models.ReservationState.CANCELLED


@pytest.mark.usefixtures("generated", "worker")
async def test_it_goes_on_to_the_second_page_of_reservations(
    url: str, database: Database, charger: Charger, number: int
) -> None:
    site = f"site {uuid4()}"  # all tests share one Temporal
    await database.chargers.update(charger.id, site_id=site)
    raw_key, _ = await database.keys.create("site", ["reservations", "read"], site_ids=[site])
    numbers = [number * 10 + port.port_number for port in charger.ports]
    client = GeneratedClient(url, raw_key)
    async with client.connection, asyncio.timeout(60):
        for port, reservation_id in zip(charger.ports, numbers, strict=True):
            body = client.models.ReservationBody(
                port_id=port.id,
                expiry_date=datetime.now(UTC) + timedelta(hours=1),
                id_tag="RFID-Tag",
                reservation_id=reservation_id,
            )
            await client.call("reservations.reserve", body=body)
        while len((await client.call("reservations.list_reservations")).parsed.data) < 2:
            await asyncio.sleep(0.05)  # the list is a moment old

        first = (await client.call("reservations.list_reservations", limit=1)).parsed
        cursor = first.pagination.next_page_cursor
        second = (
            await client.call("reservations.list_reservations", limit=1, next_page_cursor=cursor)
        ).parsed

    assert isinstance(first, client.models.PageReservationItem)
    newest, oldest = first.data + second.data
    assert [oldest.reservation_id, newest.reservation_id] == numbers
    assert [oldest.port_id, newest.port_id] == [port.id for port in charger.ports]
    assert newest.state is client.models.ReservationState.REQUESTED  # the script tells Temporal nothing else


async def test_it_goes_on_to_the_second_page_of_chargers(
    client: GeneratedClient, database: Database, charger: Charger
) -> None:
    other = await database.chargers.add(NewCharger("CP-201"))

    first = (await client.call("chargers.list_chargers", limit=1)).parsed
    cursor = first.pagination.next_page_cursor
    second = (await client.call("chargers.list_chargers", limit=1, next_page_cursor=cursor)).parsed

    assert isinstance(first, client.models.PageCharger)
    assert [item.id for item in first.data + second.data] == [charger.id, other.id]
    assert [page.pagination.has_next_page for page in (first, second)] == [True, False]
    assert second.pagination.next_page_cursor is None


@pytest.mark.usefixtures("link")
async def test_it_gets_a_charger(client: GeneratedClient, charger: Charger) -> None:
    by_id = await client.call("chargers.get_charger", charger.id)
    by_external_id = await client.call("chargers.get_charger_by_external_id", "GARAGE/7")

    assert isinstance(by_id.parsed, client.models.DataCharger)
    assert by_external_id.parsed == by_id.parsed
    shown = by_id.parsed.data
    assert (shown.ocpp_id, shown.external_id, shown.number_of_ports) == ("CP-16", "GARAGE/7", 2)
    assert shown.connection_status.status is client.models.ConnectionStatusStatus.CONNECTED
    assert [port.id for port in shown.ports] == [port.id for port in charger.ports]


async def test_it_lists_the_ocpp_messages(
    client: GeneratedClient, database: Database, charger: Charger
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    await database.messages.write(
        [
            LoggedMessage(
                created_at=now - timedelta(minutes=1),
                charger_id=charger.id,
                ocpp_identity=charger.ocpp_identity,
                protocol="ocpp1.6",
                sender="berth",
                message_type=message_type,
                payload_json='{"connectorId":1}',
                response_json='{"status":"Accepted"}',
            )
            for message_type in ("ReserveNow", "CancelReservation", "Reset")
        ]
    )

    listed = await client.call(
        "messages.list_ocpp_messages",
        charger_id=charger.id,
        start_timestamp=now - timedelta(hours=1),
        end_timestamp=now,
        message_type=["ReserveNow", "CancelReservation"],
    )

    assert isinstance(listed.parsed, client.models.PageOcppMessage)
    newest, oldest = listed.parsed.data
    assert (newest.message_type, oldest.message_type) == ("CancelReservation", "ReserveNow")
    assert newest.created_at == now - timedelta(minutes=1)
    assert newest.message_payload == {"connectorId": 1}
    assert newest.message_response == {"status": "Accepted"}


async def test_what_does_not_exist_is_an_error_with_a_sentence(client: GeneratedClient) -> None:
    response = await client.call("chargers.get_charger", 4711)
    assert response.status_code == 404
    assert response.parsed == client.models.Error(error="id: there is no charger 4711")


@pytest.mark.usefixtures("generated")
async def test_a_wrong_key_is_an_error_with_a_sentence(url: str) -> None:
    stranger = GeneratedClient(url, "wrong")
    async with stranger.connection:
        response = await stranger.call("chargers.list_chargers")
    assert response.status_code == 401
    assert isinstance(response.parsed, stranger.models.Error)
    assert response.parsed.error == "this API key is unknown, expired or revoked"

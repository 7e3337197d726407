"""/api/chargers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from directory import Charger, Directory, LiveReservation, NewCharger, NewPort
from tests.api.conftest import Caller, instant

CHARGERS = "/api/chargers"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def listen(directory: Directory, charger: Charger, reservation_id: int, **changes: Any) -> None:
    """Enter a live reservation of the charger's first port, as a run does."""
    row: dict[str, Any] = {
        "workflow_id": f"reservation-{charger.id}-{reservation_id}",
        "first_run_id": "run",
        "charger_id": charger.id,
        "reservation_id": reservation_id,
        "port_number": 1,
        "id_tag": "RFID-1",
        "parent_id_tag": None,
        "accepted": True,
        "expires_at": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1),
    }
    await directory.live.put(LiveReservation(**(row | changes)))


async def test_a_charger_that_was_never_seen_is_shown_whole(
    http: httpx.AsyncClient, charger: Charger
) -> None:
    response = await http.get(f"{CHARGERS}/{charger.id}")
    assert response.status_code == 200
    port = {
        "maximumPowerKw": None,
        "connectorType": None,
        "ocppStatus": None,
        "currentChargingSession": None,
        "reservation": None,
    }
    assert response.json() == {
        "data": {
            "id": charger.id,
            "name": "CP-16",
            "manufacturer": None,
            "model": None,
            "serialNumber": None,
            "firmwareVersion": None,
            "latitude": None,
            "longitude": None,
            "externalId": "GARAGE/7",
            "ocppId": "CP-16",
            "type": None,
            "networkServiceProvider": None,
            "chargerType": None,
            "numberOfPorts": 2,
            "powerSharing": True,
            "connectionStatus": None,
            "ports": [
                {"id": charger.ports[0].id, "name": "Port 1", "portNumber": 1, **port},
                {"id": charger.ports[1].id, "name": "Port 2", "portNumber": 2, **port},
            ],
        }
    }


@pytest.mark.parametrize("path", ["by-external-id/GARAGE/7", "by-external-id/GARAGE%2F7", "by-ocpp-id/cp-16"])
async def test_a_charger_is_found_by_its_other_names(
    http: httpx.AsyncClient, charger: Charger, path: str
) -> None:
    response = await http.get(f"{CHARGERS}/{path}")
    assert response.status_code == 200
    assert response.json()["data"]["id"] == charger.id


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("999", 404, "id: there is no charger 999"),
        ("by-external-id/nobody", 404, "externalId: there is no charger nobody"),
        ("by-ocpp-id/nobody", 404, "ocppId: there is no charger nobody"),
        ("abc", 400, "id: must be a valid integer"),
        ("2147483648", 400, "id: must be less than or equal to 2147483647"),
    ],
)
async def test_an_unknown_charger_is_named_in_the_sentence(
    http: httpx.AsyncClient, path: str, status: int, sentence: str
) -> None:
    response = await http.get(f"{CHARGERS}/{path}")
    assert response.status_code == status
    assert response.json() == {"error": sentence}


@pytest.mark.usefixtures("link")
async def test_a_charger_with_a_live_link_is_connected(http: httpx.AsyncClient, charger: Charger) -> None:
    data = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]
    assert data["connectionStatus"]["status"] == "Connected"
    assert datetime.fromisoformat(data["connectionStatus"]["timestamp"]) <= datetime.now(UTC)


async def test_a_charger_whose_link_ended_is_disconnected(
    http: httpx.AsyncClient, directory: Directory, charger: Charger, link: int
) -> None:
    await directory.links.release(charger.id, link)
    data = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]
    assert data["connectionStatus"]["status"] == "Disconnected"


async def test_a_port_shows_what_it_last_reported(
    http: httpx.AsyncClient, directory: Directory, charger: Charger
) -> None:
    await directory.chargers.record_status(
        charger.id, 1, 1, "Faulted", AT, error_code="GroundFailure", vendor_error_code="E42", info="wet"
    )
    ports = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]["ports"]
    assert ports[0]["ocppStatus"] == {
        "status": "Faulted",
        "timestamp": instant(AT),
        "errorCode": "GroundFailure",
        "vendorErrorCode": "E42",
        "info": "wet",
    }
    assert ports[1]["ocppStatus"] is None


@pytest.mark.parametrize(("ocpp_transaction_id", "shows_number"), [(None, True), ("a-uuid", False)])
async def test_a_port_shows_the_session_that_goes_on(
    http: httpx.AsyncClient,
    directory: Directory,
    charger: Charger,
    ocpp_transaction_id: str | None,
    shows_number: bool,
) -> None:
    transaction_id = await directory.transactions.start(
        charger.id, 2, "RFID-1", AT, 100.0, ocpp_transaction_id=ocpp_transaction_id
    )
    ports = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]["ports"]
    assert ports[0]["currentChargingSession"] is None
    assert ports[1]["currentChargingSession"] == {
        "id": transaction_id,
        "startTime": instant(AT),
        "socStartPercent": None,
        "energyDeliveredKwh": None,
        "ocppIdTag": "RFID-1",
        "ocppTransactionId": transaction_id if shows_number else None,
        "latestReadings": {"powerKw": None, "currentA": None, "socPercent": None, "voltage": None},
        "vehicle": None,
    }


async def test_a_port_shows_the_reservation_its_charger_accepted(
    http: httpx.AsyncClient, directory: Directory, charger: Charger
) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    await listen(directory, charger, 7, expires_at=expires_at)
    ports = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]["ports"]
    assert ports[0]["reservation"] == {
        "reservationId": 7,
        "state": "active",
        "expiryDate": instant(expires_at),
    }
    assert ports[1]["reservation"] is None


@pytest.mark.parametrize(
    "changes", [{"accepted": False}, {"expires_at": datetime.now(UTC) - timedelta(minutes=1)}], ids=str
)
async def test_what_the_charger_did_not_accept_or_is_over_is_no_reservation(
    http: httpx.AsyncClient, directory: Directory, charger: Charger, changes: dict[str, Any]
) -> None:
    await listen(directory, charger, 7, **changes)
    ports = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]["ports"]
    assert ports[0]["reservation"] is None


class TestTheList:
    """Pages of the chargers in the key's scope."""

    @pytest.fixture
    async def chargers(self, directory: Directory) -> list[Charger]:
        return [
            await directory.chargers.add(NewCharger(f"CP-{n}", site_id=f"site-{n % 2}", ports=[NewPort(1)]))
            for n in range(5)
        ]

    async def test_it_goes_on_from_page_to_page(
        self, http: httpx.AsyncClient, chargers: list[Charger]
    ) -> None:
        seen: list[str] = []
        parameters: dict[str, str | int] = {"limit": 2}
        for has_next_page in (True, True, False):
            page = (await http.get(CHARGERS, params=parameters)).json()
            seen += [charger["ocppId"] for charger in page["data"]]
            assert page["pagination"]["hasNextPage"] is has_next_page
            parameters["nextPageCursor"] = page["pagination"]["nextPageCursor"] or ""
        assert seen == ["CP-0", "CP-1", "CP-2", "CP-3", "CP-4"]
        assert page["pagination"]["nextPageCursor"] is None

    async def test_it_ends_where_the_key_may_not_look(
        self, caller: Caller, directory: Directory, chargers: list[Charger]
    ) -> None:
        raw_key, _ = await directory.keys.create("site-1", ["read"], site_ids=["site-1"])
        page = (await caller(raw_key).get(CHARGERS)).json()
        assert [charger["ocppId"] for charger in page["data"]] == ["CP-1", "CP-3"]
        assert page["pagination"] == {"hasNextPage": False, "nextPageCursor": None}

    @pytest.mark.parametrize(
        ("parameters", "sentence"),
        [
            ({"limit": 0}, "limit: must be greater than or equal to 1"),
            ({"limit": 501}, "limit: must be less than or equal to 500"),
            ({"limit": "all"}, "limit: must be a valid integer"),
            ({"nextPageCursor": "!"}, "nextPageCursor: is not one of ours"),
            ({"nextPageCursor": "LTE="}, "nextPageCursor: is not one of ours"),
        ],
    )
    async def test_a_parameter_that_breaks_a_rule_is_400(
        self, http: httpx.AsyncClient, parameters: dict[str, Any], sentence: str
    ) -> None:
        response = await http.get(CHARGERS, params=parameters)
        assert response.status_code == 400
        assert response.json() == {"error": sentence}


class TestAdding:
    """POST /api/chargers."""

    async def test_a_charger_is_added_with_its_ports(
        self, http: httpx.AsyncClient, directory: Directory
    ) -> None:
        body = {
            "ocppId": "CP-201",
            "name": "Garage",
            "siteId": "site-1",
            "externalId": "G-1",
            "latitude": 52.5,
            "longitude": 13,
            "type": "DCFC",
            "ports": [{"portNumber": 1, "name": "Left", "connectorType": "CCS1", "maximumPowerKw": 150}],
            "password": "a-long-password",
        }

        response = await http.post(CHARGERS, json=body)

        assert response.status_code == 201
        data = response.json()["data"]
        assert response.headers["location"] == f"{CHARGERS}/{data['id']}"
        assert (data["ocppId"], data["name"], data["externalId"]) == ("CP-201", "Garage", "G-1")
        assert (data["latitude"], data["longitude"], data["type"]) == (52.5, 13.0, "DCFC")
        assert (data["numberOfPorts"], data["powerSharing"]) == (1, False)
        (port,) = data["ports"]
        assert (port["portNumber"], port["name"]) == (1, "Left")
        assert (port["connectorType"], port["maximumPowerKw"]) == ("CCS1", 150.0)
        assert "password" not in response.text
        credentials = await directory.chargers.credentials("CP-201")
        assert credentials is not None
        assert await credentials.check_password(b"a-long-password")

    async def test_an_identity_is_enough(self, http: httpx.AsyncClient) -> None:
        response = await http.post(CHARGERS, json={"ocppId": "CP-1"})
        assert response.status_code == 201
        assert response.json()["data"]["ports"] == []

    @pytest.mark.usefixtures("charger")
    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"ocppId": "cp-16"}, "ocppId: is taken"),
            ({"ocppId": "CP-17", "externalId": "GARAGE/7"}, "externalId: is taken"),
            ({"ocppId": "CP-17", "ports": [{"portNumber": 1}] * 2}, "portNumber: is taken"),
        ],
    )
    async def test_what_is_taken_is_409(
        self, http: httpx.AsyncClient, body: dict[str, Any], sentence: str
    ) -> None:
        response = await http.post(CHARGERS, json=body)
        assert response.status_code == 409
        assert response.json() == {"error": sentence}

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"ocppId": None}, "ocppId: must be a valid string"),
            ({"ocppId": "x" * 49}, "ocppId: must have at most 48 characters"),
            ({"ocppId": "a\tb"}, "ocppId: must have printable characters only"),
            ({"latitude": 91}, "latitude: must be less than or equal to 90"),
            ({"longitude": True}, "longitude: must be a valid number"),
            ({"type": "Level 3"}, "type: must be 'DCFC' or 'Level 2'"),
            ({"ports": {}}, "ports: must be a valid list"),
            ({"ports": [{}]}, "ports.0.portNumber: is required"),
            ({"ports": [{"portNumber": 0}]}, "ports.0.portNumber: must be greater than or equal to 1"),
            ({"password": ""}, "password: must have at least 1 character"),
        ],
    )
    async def test_a_field_that_breaks_a_rule_is_400(
        self, http: httpx.AsyncClient, changes: dict[str, Any], sentence: str
    ) -> None:
        response = await http.post(CHARGERS, json={"ocppId": "CP-1"} | changes)
        assert response.status_code == 400
        assert response.json() == {"error": sentence}

    @pytest.mark.parametrize(
        ("scope", "sentence"),
        [
            ({"site_ids": ["site-2"]}, "siteId: is outside this API key's sites"),
            ({"charger_ids": [1]}, "this API key is for certain chargers and adds none"),
        ],
    )
    async def test_a_key_adds_nothing_outside_its_scope(
        self, caller: Caller, directory: Directory, scope: dict[str, Any], sentence: str
    ) -> None:
        raw_key, _ = await directory.keys.create("scoped", ["admin"], **scope)
        response = await caller(raw_key).post(CHARGERS, json={"ocppId": "CP-1", "siteId": "site-1"})
        assert response.status_code == 403
        assert response.json() == {"error": sentence}

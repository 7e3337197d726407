"""/api/chargers."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from berth.database import Capabilities, Charger, Database, EventSubscription, NewCharger, NewPort
from tests.api.conftest import Caller, instant

CHARGERS = "/api/chargers"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def subscribe(database: Database, charger: Charger, reservation_id: int, **changes: Any) -> None:
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
    await database.subscriptions.put(EventSubscription(**(row | changes)))


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
            "siteId": "site-1",
            "type": None,
            "networkServiceProvider": None,
            "chargerType": None,
            "numberOfPorts": 2,
            "powerSharing": True,
            "connectionStatus": None,
            "capabilities": {"reservations": None, "wholeCharger": None},
            "reservation": None,
            "securityProfile": None,
            "passwordChange": None,
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
    http: httpx.AsyncClient, database: Database, charger: Charger, link: int
) -> None:
    await database.links.release(charger.id, link)
    data = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]
    assert data["connectionStatus"]["status"] == "Disconnected"


async def test_a_port_shows_what_it_last_reported(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await database.chargers.record_status(
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
    database: Database,
    charger: Charger,
    ocpp_transaction_id: str | None,
    shows_number: bool,
) -> None:
    transaction_id = await database.transactions.start(
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
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    await subscribe(database, charger, 7, expires_at=expires_at)
    ports = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]["ports"]
    assert ports[0]["reservation"] == {
        "reservationId": 7,
        "state": "active",
        "expiryDate": instant(expires_at),
    }
    assert ports[1]["reservation"] is None


async def test_a_reservation_of_any_port_is_shown_at_the_charger(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await subscribe(database, charger, 7, port_number=None)
    data = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]
    assert data["reservation"]["reservationId"] == 7
    assert [port["reservation"] for port in data["ports"]] == [None, None]


async def test_what_a_charger_can_do_is_shown_as_far_as_it_is_known(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await database.capabilities.said(charger.id, Capabilities(reservations=True, whole_charger=False))
    data = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]
    assert data["capabilities"] == {"reservations": True, "wholeCharger": False}


@pytest.mark.parametrize(
    "changes",
    [{"accepted": False}, {"expires_at": datetime.now(UTC) - timedelta(minutes=1)}],
    ids=["not accepted", "over"],
)
async def test_what_the_charger_did_not_accept_or_is_over_is_no_reservation(
    http: httpx.AsyncClient, database: Database, charger: Charger, changes: dict[str, Any]
) -> None:
    await subscribe(database, charger, 7, **changes)
    ports = (await http.get(f"{CHARGERS}/{charger.id}")).json()["data"]["ports"]
    assert ports[0]["reservation"] is None


class TestTheList:
    """Pages of the chargers in the key's scope."""

    @pytest.fixture
    async def chargers(self, database: Database) -> list[Charger]:
        return [
            await database.chargers.add(NewCharger(f"CP-{n}", site_id=f"site-{n % 2}", ports=[NewPort(1)]))
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

    @pytest.mark.usefixtures("chargers")
    async def test_a_page_is_three_queries_however_long(
        self, http: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []
        connections = database._connections

        def counted(way: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            def ask(statement: Any, **parameters: Any) -> Awaitable[Any]:
                asked.append(statement)
                return way(statement, **parameters)

            return ask

        for way in ("query", "lookup"):
            monkeypatch.setattr(connections, way, counted(getattr(connections, way)))
        assert len((await http.get(CHARGERS)).json()["data"]) == 5
        assert len(asked) == 1 + 3, "and one for the API key"

    async def test_it_ends_where_the_key_may_not_look(
        self, caller: Caller, database: Database, chargers: list[Charger]
    ) -> None:
        raw_key, _ = await database.keys.create("site-1", ["read"], site_ids=["site-1"])
        page = (await caller(raw_key).get(CHARGERS)).json()
        assert [charger["ocppId"] for charger in page["data"]] == ["CP-1", "CP-3"]
        assert page["pagination"] == {"hasNextPage": False, "nextPageCursor": None}

    @pytest.mark.parametrize(
        ("parameters", "sentence"),
        [
            ({"limit": 0}, "limit: must be greater than or equal to 1"),
            ({"limit": 501}, "limit: must be less than or equal to 500"),
            ({"limit": "all"}, "limit: must be a valid integer"),
            ({"nextPageCursor": "!"}, "nextPageCursor: is not of this query; leave it out to begin anew"),
            ({"nextPageCursor": ""}, "nextPageCursor: is not of this query; leave it out to begin anew"),
            ({"nextPageCursor": "x" * 2049}, "nextPageCursor: must have at most 2048 characters"),
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
        self, http: httpx.AsyncClient, database: Database
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
            "securityProfile": 2,
        }

        response = await http.post(CHARGERS, json=body)

        assert response.status_code == 201
        data = response.json()["data"]
        assert response.headers["location"] == f"{CHARGERS}/{data['id']}"
        assert (data["ocppId"], data["name"], data["externalId"]) == ("CP-201", "Garage", "G-1")
        assert (data["latitude"], data["longitude"], data["type"]) == (52.5, 13.0, "DCFC")
        assert (data["numberOfPorts"], data["powerSharing"]) == (1, False)
        assert data["securityProfile"] == 2
        (port,) = data["ports"]
        assert (port["portNumber"], port["name"]) == (1, "Left")
        assert (port["connectorType"], port["maximumPowerKw"]) == ("CCS1", 150.0)
        assert "a-long-password" not in response.text
        credentials = await database.chargers.credentials("CP-201")
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
            ({"securityProfile": 4}, "securityProfile: must be less than or equal to 3"),
            ({"securityProfile": True}, "securityProfile: must be a valid integer"),
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
        self, caller: Caller, database: Database, scope: dict[str, Any], sentence: str
    ) -> None:
        raw_key, _ = await database.keys.create("scoped", ["admin"], **scope)
        response = await caller(raw_key).post(CHARGERS, json={"ocppId": "CP-1", "siteId": "site-1"})
        assert response.status_code == 403
        assert response.json() == {"error": sentence}


class TestChanging:
    """PATCH /api/chargers/{id}."""

    async def test_what_is_named_changes_and_the_rest_stays(
        self, http: httpx.AsyncClient, database: Database, charger: Charger
    ) -> None:
        body = {
            "ocppId": "CP-17",
            "name": "Yard",
            "latitude": 1,
            "type": "Level 2",
            "password": "new-password",
            "securityProfile": 3,
        }
        response = await http.patch(f"{CHARGERS}/{charger.id}", json=body)
        assert response.status_code == 200
        data = response.json()["data"]
        assert (data["ocppId"], data["name"], data["latitude"], data["type"]) == (
            "CP-17",
            "Yard",
            1.0,
            "Level 2",
        )
        assert (data["siteId"], data["externalId"], data["numberOfPorts"]) == ("site-1", "GARAGE/7", 2)
        credentials = await database.chargers.credentials("CP-17")
        assert credentials is not None
        assert await credentials.check_password(b"new-password")
        assert (data["securityProfile"], credentials.security_profile) == (3, 3)

    async def test_null_takes_a_value_away(self, http: httpx.AsyncClient, charger: Charger) -> None:
        await http.patch(f"{CHARGERS}/{charger.id}", json={"name": "Yard", "securityProfile": 3})
        body = {"name": None, "siteId": None, "externalId": None, "password": None, "securityProfile": None}
        data = (await http.patch(f"{CHARGERS}/{charger.id}", json=body)).json()["data"]
        assert (data["name"], data["siteId"], data["externalId"]) == ("CP-16", None, None)
        assert data["securityProfile"] is None

    async def test_a_port_is_added_or_described_anew_and_the_others_stay(
        self, http: httpx.AsyncClient, charger: Charger
    ) -> None:
        body = {"ports": [{"portNumber": 2, "connectorType": "CCS1"}, {"portNumber": 3}]}
        data = (await http.patch(f"{CHARGERS}/{charger.id}", json=body)).json()["data"]
        assert [(port["portNumber"], port["connectorType"]) for port in data["ports"]] == [
            (1, None),
            (2, "CCS1"),
            (3, None),
        ]
        assert data["ports"][1]["id"] == charger.ports[1].id

    async def test_nothing_named_changes_nothing(self, http: httpx.AsyncClient, charger: Charger) -> None:
        before = (await http.get(f"{CHARGERS}/{charger.id}")).json()
        assert (await http.patch(f"{CHARGERS}/{charger.id}", json={})).json() == before

    async def test_what_is_taken_is_409(
        self, http: httpx.AsyncClient, database: Database, charger: Charger
    ) -> None:
        await database.chargers.add(NewCharger("CP-17"))
        response = await http.patch(f"{CHARGERS}/{charger.id}", json={"ocppId": "cp-17"})
        assert response.status_code == 409
        assert response.json() == {"error": "ocppId: is taken"}

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"ocppId": None}, "ocppId: must be a valid string"),
            ({"ocppId": ""}, "ocppId: must have at least 1 character"),
            ({"ports": None}, "ports: must be a valid list"),
            ({"siteId": 'a"b'}, "siteId: must have neither double quotes nor backslashes"),
            ({"longitude": 181}, "longitude: must be less than or equal to 180"),
            ([], "the body: must be a JSON object"),
        ],
    )
    async def test_a_field_that_breaks_a_rule_is_400(
        self, http: httpx.AsyncClient, charger: Charger, body: object, sentence: str
    ) -> None:
        response = await http.patch(f"{CHARGERS}/{charger.id}", json=body)
        assert response.status_code == 400
        assert response.json() == {"error": sentence}

    async def test_a_charger_is_not_moved_out_of_the_keys_scope(
        self, caller: Caller, database: Database, charger: Charger
    ) -> None:
        raw_key, _ = await database.keys.create("site", ["admin"], site_ids=["site-1"])
        for site_id in ("site-2", None):
            response = await caller(raw_key).patch(f"{CHARGERS}/{charger.id}", json={"siteId": site_id})
            assert response.status_code == 403
            assert response.json() == {"error": "siteId: is outside this API key's sites"}


class TestRemoving:
    """DELETE /api/chargers/{id}."""

    async def test_a_charger_is_gone_with_its_ports(
        self, http: httpx.AsyncClient, database: Database, charger: Charger
    ) -> None:
        response = await http.delete(f"{CHARGERS}/{charger.id}")
        assert (response.status_code, response.content) == (204, b"")
        assert (await http.get(f"{CHARGERS}/{charger.id}")).status_code == 404
        assert await database.chargers.port_target(charger.ports[0].id) is None
        assert (await http.delete(f"{CHARGERS}/{charger.id}")).status_code == 404

    async def test_one_with_live_reservations_stays(
        self, http: httpx.AsyncClient, database: Database, charger: Charger
    ) -> None:
        for reservation_id in range(7):
            await subscribe(database, charger, reservation_id, accepted=False)
        response = await http.delete(f"{CHARGERS}/{charger.id}")
        assert response.status_code == 409
        assert response.json() == {
            "error": "id: the charger has live reservations (0, 1, 2, 3, 4, …); cancel them first"
        }
        assert (await http.get(f"{CHARGERS}/{charger.id}")).status_code == 200

    async def test_a_reservation_that_is_over_does_not_hold_it(
        self, http: httpx.AsyncClient, database: Database, charger: Charger
    ) -> None:
        await subscribe(database, charger, 7, expires_at=datetime.now(UTC) - timedelta(minutes=1))
        assert (await http.delete(f"{CHARGERS}/{charger.id}")).status_code == 204


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_charger_outside_the_scope_is_neither_changed_nor_removed(
    caller: Caller, database: Database, charger: Charger, method: str
) -> None:
    raw_key, _ = await database.keys.create("elsewhere", ["admin"], site_ids=["site-2"])
    response = await caller(raw_key).request(method, f"{CHARGERS}/{charger.id}", json={"name": "Mine"})
    assert response.status_code == 404
    assert response.json() == {"error": f"id: there is no charger {charger.id}"}
    assert await database.chargers.by_id(charger.id) == charger

"""GET /api/ocpp/reservations: from Temporal's search attributes, a moment old."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from berth.database import Charger, Database, NewCharger, NewPort
from tests.api.conftest import Caller, in_an_hour
from tests.api.scripted import SCRIPTS, Script
from workflows.messages import ReservationState
from workflows.names import reservation_workflow_id

pytestmark = pytest.mark.usefixtures("worker")

RESERVE = "/api/ocpp/reservations"
CANCEL = f"{RESERVE}/cancel"

_sites = itertools.count()

Pages = Callable[..., Any]


@pytest.fixture
async def sites(database: Database) -> list[Charger]:
    """Two chargers of two ports, each at a site that no other test has."""
    return [
        await database.chargers.add(
            NewCharger(f"CP-{n}", site_id=f"it's site {next(_sites)}", ports=[NewPort(1), NewPort(2)])
        )
        for n in range(2)
    ]


@pytest.fixture
async def here(caller: Caller, database: Database, sites: list[Charger]) -> httpx.AsyncClient:
    """A caller that sees these two sites only: all tests share one Temporal."""
    site_ids = [charger.site_id for charger in sites if charger.site_id]
    raw_key, _ = await database.keys.create("here", ["reservations", "read"], site_ids=site_ids)
    return caller(raw_key)


@pytest.fixture
async def reserved(here: httpx.AsyncClient, sites: list[Charger], number: int) -> AsyncIterator[list[int]]:
    """Four reservations, one per port, in the order of asking."""
    numbers = [number * 10 + n for n in range(4)]
    ports = [port.id for charger in sites for port in charger.ports]
    for reservation_id, port_id in zip(numbers, ports, strict=True):
        SCRIPTS[reservation_id] = Script()
        body = {
            "portId": port_id,
            "expiryDate": in_an_hour(),
            "idTag": "RFID-1",
            "reservationId": reservation_id,
        }
        assert (await here.post(RESERVE, json=body)).status_code == 200
    await listed(here, numbers[::-1])
    yield numbers
    for reservation_id in numbers:
        del SCRIPTS[reservation_id]


async def listed(http: httpx.AsyncClient, numbers: list[int], **parameters: Any) -> list[dict[str, Any]]:
    """Ask until the list shows just these numbers: it is a moment old. Fails after 60 s."""
    found: list[int] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        response = await http.get(RESERVE, params=parameters)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["data"]
        found = [item["reservationId"] for item in items]
        if found == numbers:
            return items
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} instead of {numbers}")


async def test_an_item_shows_what_the_search_attributes_say(
    here: httpx.AsyncClient, sites: list[Charger], reserved: list[int]
) -> None:
    item = (await listed(here, reserved[::-1]))[-1]
    created_at = datetime.fromisoformat(item.pop("createdAt"))
    assert timedelta(0) <= datetime.now(UTC) - created_at < timedelta(minutes=1)
    expires_at = datetime.fromisoformat(item.pop("expiryDate"))
    assert timedelta(minutes=58) < expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert item == {
        "reservationId": reserved[0],
        "chargerId": sites[0].id,
        "portId": sites[0].ports[0].id,
        "state": "requested",  # the scripted workflow keeps none
        "endedAt": None,
    }


async def test_those_that_live_come_first_then_the_last_to_end(
    here: httpx.AsyncClient, sites: list[Charger], reserved: list[int]
) -> None:
    for n in (2, 0):
        which = {"chargerId": sites[n // 2].id, "reservationId": reserved[n]}
        assert (await here.post(CANCEL, json=which)).json()["data"]["status"] == "Accepted"
    items = await listed(here, [reserved[3], reserved[1], reserved[0], reserved[2]])
    assert [item["endedAt"] is None for item in items] == [True, True, False, False]


async def test_it_is_narrowed_by_charger_port_and_state(
    here: httpx.AsyncClient, sites: list[Charger], reserved: list[int]
) -> None:
    await listed(here, [reserved[3], reserved[2]], chargerId=sites[1].id)
    await listed(here, [reserved[1]], portId=sites[0].ports[1].id)
    await listed(here, [reserved[1]], portId=sites[0].ports[1].id, chargerId=sites[0].id)
    await listed(here, [], portId=sites[0].ports[1].id, chargerId=sites[1].id)
    await listed(here, reserved[::-1], state="requested")
    await listed(here, [], state="used")


async def test_one_that_was_terminated_is_a_failed_one(
    here: httpx.AsyncClient, temporal: Client, sites: list[Charger], reserved: list[int]
) -> None:
    workflow_id = reservation_workflow_id(sites[0].id, reserved[0])
    await temporal.get_workflow_handle(workflow_id).terminate()
    (item,) = await listed(here, [reserved[0]], state="failed")
    assert item["state"] == ReservationState.FAILED
    await listed(here, [reserved[3], reserved[2], reserved[1]], state="requested")


async def test_it_goes_on_from_page_to_page_and_ends_where_there_is_no_more(
    here: httpx.AsyncClient, reserved: list[int]
) -> None:
    seen: list[int] = []
    parameters: dict[str, Any] = {"limit": 2}
    for has_next_page in (True, False):
        page = (await here.get(RESERVE, params=parameters)).json()
        seen += [item["reservationId"] for item in page["data"]]
        assert page["pagination"]["hasNextPage"] is has_next_page
        parameters["nextPageCursor"] = page["pagination"]["nextPageCursor"]
    assert seen == reserved[::-1]
    assert page["pagination"]["nextPageCursor"] is None


class TestACursorOfAnotherQuery:
    """Is 400, as one that was invented."""

    @pytest.fixture
    async def cursor(self, here: httpx.AsyncClient, reserved: list[int]) -> str:
        page = (await here.get(RESERVE, params={"limit": 1, "state": "requested"})).json()
        cursor: str = page["pagination"]["nextPageCursor"]
        return cursor

    async def test_a_longer_page_of_the_same_query_goes_on(
        self, here: httpx.AsyncClient, reserved: list[int], cursor: str
    ) -> None:
        same: dict[str, Any] = {"state": "requested", "limit": 500, "nextPageCursor": cursor}
        page = (await here.get(RESERVE, params=same)).json()
        assert [item["reservationId"] for item in page["data"]] == reserved[2::-1]

    @pytest.mark.parametrize("other", [{}, {"state": "active"}, {"state": "requested", "portId": 1}])
    async def test_of_other_parameters(
        self, here: httpx.AsyncClient, cursor: str, other: dict[str, Any]
    ) -> None:
        await self.refused(here, RESERVE, {**other, "nextPageCursor": cursor})

    async def test_of_another_key(
        self, caller: Caller, database: Database, reserved: list[int], cursor: str
    ) -> None:
        raw_key, _ = await database.keys.create("other", ["read"])
        await self.refused(caller(raw_key), RESERVE, {"state": "requested", "nextPageCursor": cursor})

    async def test_of_another_list(self, here: httpx.AsyncClient, cursor: str) -> None:
        await self.refused(here, "/api/chargers", {"state": "requested", "nextPageCursor": cursor})

    @pytest.mark.parametrize(
        "change",
        [lambda c: c[:-4], lambda c: c + "AAAA", lambda c: ("B" if c[0] == "A" else "A") + c[1:]],
        ids=["shorter", "longer", "another first letter"],
    )
    async def test_that_was_changed(
        self, here: httpx.AsyncClient, cursor: str, change: Callable[[str], str]
    ) -> None:
        await self.refused(here, RESERVE, {"state": "requested", "nextPageCursor": change(cursor)})

    async def refused(self, http: httpx.AsyncClient, path: str, parameters: dict[str, Any]) -> None:
        response = await http.get(path, params={key: str(value) for key, value in parameters.items()})
        assert response.status_code == 400
        sentence = "nextPageCursor: is not of this query; leave it out to begin anew"
        assert response.json() == {"error": sentence}


class TestTheKeysScope:
    """Is part of the query."""

    async def test_a_key_of_one_site_sees_that_site(
        self, caller: Caller, database: Database, sites: list[Charger], reserved: list[int]
    ) -> None:
        raw_key, _ = await database.keys.create("site", ["read"], site_ids=[str(sites[0].site_id)])
        await listed(caller(raw_key), [reserved[1], reserved[0]])

    async def test_a_key_of_one_charger_sees_that_charger(
        self, caller: Caller, database: Database, sites: list[Charger], reserved: list[int]
    ) -> None:
        # The numbers of chargers are each test's own, Temporal is not: its site says which one is meant.
        scope: dict[str, Any] = {"charger_ids": [sites[1].id], "site_ids": [str(sites[1].site_id)]}
        raw_key, _ = await database.keys.create("charger", ["read"], **scope)
        await listed(caller(raw_key), [reserved[3], reserved[2]])

    @pytest.mark.parametrize(
        "scope",
        [
            {"site_ids": []},
            {"charger_ids": []},
            {"site_ids": ["elsewhere"]},
            {"charger_ids": [2**31 - 1]},
            {"site_ids": ["\\' OR '1' = '1", "\\", "'", 'a"b']},
        ],
        ids=str,
    )
    async def test_a_key_of_elsewhere_sees_nothing(
        self, caller: Caller, database: Database, reserved: list[int], scope: dict[str, Any]
    ) -> None:
        raw_key, _ = await database.keys.create("elsewhere", ["read"], **scope)
        response = await caller(raw_key).get(RESERVE)
        assert response.status_code == 200
        assert response.json() == {"data": [], "pagination": {"hasNextPage": False, "nextPageCursor": None}}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"limit": "0"}, "limit: must be greater than or equal to 1"),
        ({"limit": "501"}, "limit: must be less than or equal to 500"),
        ({"chargerId": "x"}, "chargerId: must be a valid integer"),
        ({"chargerId": "0"}, "chargerId: must be greater than or equal to 1"),
        ({"portId": "2147483648"}, "portId: must be less than or equal to 2147483647"),
        (
            {"state": "Active"},
            "state: must be 'requested', 'sending', 'active', 'unknown', 'used', 'expired', 'cancelled', "
            "'removed', 'rejected' or 'failed'",
        ),
    ],
)
async def test_a_parameter_that_breaks_a_rule_is_400(
    http: httpx.AsyncClient, parameters: dict[str, str], sentence: str
) -> None:
    response = await http.get(RESERVE, params=parameters)
    assert response.status_code == 400
    assert response.json() == {"error": sentence}

"""POST /api/chargers/{id}/password."""

from collections.abc import Iterator

import httpx
import pytest
from temporalio.client import Client

from berth.database import Charger, Database
from tests.api.conftest import Caller
from tests.api.scripted import PASSWORD_ANSWERS
from workflows.messages import PENDING, PasswordAnswer, PasswordStatus
from workflows.names import CHARGER_ID, change_password_workflow_id

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture(autouse=True)
def script() -> Iterator[dict[str, PasswordAnswer]]:
    """What chargers say, by their identity."""
    yield PASSWORD_ANSWERS
    PASSWORD_ANSWERS.clear()


def path(charger: Charger) -> str:
    return f"/api/chargers/{charger.id}/password"


@pytest.mark.usefixtures("link")
@pytest.mark.parametrize(
    ("said", "status_code", "shown"),
    [
        (PasswordAnswer(status=PasswordStatus.ACCEPTED), 200, {"status": "Accepted"}),
        (PasswordAnswer(status=PasswordStatus.REBOOT_REQUIRED), 200, {"status": "RebootRequired"}),
        (
            PasswordAnswer(status=PasswordStatus.REJECTED, reason="NotSupported"),
            200,
            {"status": "Rejected", "reason": "NotSupported"},
        ),
        (
            PasswordAnswer(status=PENDING, reason="NoResponse"),
            202,
            {"status": "Pending", "reason": "NoResponse"},
        ),
    ],
)
async def test_the_chargers_word_is_the_answer(
    http: httpx.AsyncClient,
    charger: Charger,
    script: dict[str, PasswordAnswer],
    said: PasswordAnswer,
    status_code: int,
    shown: dict[str, str],
) -> None:
    script["CP-16"] = said
    response = await http.post(path(charger))
    assert response.status_code == status_code
    assert response.json() == {"data": {"chargerId": charger.id, **shown}}
    assert response.headers.get("location") == (f"/api/chargers/{charger.id}" if status_code == 202 else None)


async def test_a_charger_that_is_away_keeps_its_password(http: httpx.AsyncClient, charger: Charger) -> None:
    response = await http.post(path(charger))
    assert response.status_code == 200
    assert response.json() == {
        "data": {"chargerId": charger.id, "status": "Rejected", "reason": "ChargerOffline"}
    }


@pytest.mark.usefixtures("link")
async def test_who_does_not_wait_looks_at_the_charger(
    http: httpx.AsyncClient, charger: Charger, temporal: Client
) -> None:
    response = await http.post(path(charger), headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.json()["data"]["status"] == "Pending"
    await temporal.get_workflow_handle(change_password_workflow_id(charger.id)).result()


@pytest.mark.usefixtures("link")
async def test_its_workflow_is_no_reservation(
    http: httpx.AsyncClient, charger: Charger, temporal: Client
) -> None:
    await http.post(path(charger))
    found = await temporal.get_workflow_handle(change_password_workflow_id(charger.id)).describe()
    assert found.workflow_type == "ChangePassword"
    assert found.typed_search_attributes.get(CHARGER_ID) == charger.id
    listed = await http.get("/api/ocpp/reservations", params={"chargerId": charger.id})
    assert all(item["reservationId"] for item in listed.json()["data"])


async def test_an_unknown_charger_is_404_and_a_key_without_the_right_403(
    http: httpx.AsyncClient, caller: Caller, charger: Charger, database: Database
) -> None:
    assert (await http.post("/api/chargers/999/password")).status_code == 404
    raw_key, _ = await database.keys.create("app", ["reservations", "read"])
    assert (await caller(raw_key).post(path(charger))).status_code == 403
    elsewhere, _ = await database.keys.create("other", ["admin"], site_ids=["site-2"])
    assert (await caller(elsewhere).post(path(charger))).status_code == 404


async def test_a_charger_says_that_it_has_not_used_its_new_password_yet(
    http: httpx.AsyncClient, charger: Charger, database: Database
) -> None:
    shown = (await http.get(f"/api/chargers/{charger.id}")).json()["data"]
    assert shown["passwordChange"] is None
    await database.password_changes.offer(charger.id, "a-new-password-of-berth")
    shown = (await http.get(f"/api/chargers/{charger.id}")).json()["data"]
    assert shown["passwordChange"] == "Pending"
    await http.patch(f"/api/chargers/{charger.id}", json={"password": "set-by-a-person-1"})
    shown = (await http.get(f"/api/chargers/{charger.id}")).json()["data"]
    assert shown["passwordChange"] is None

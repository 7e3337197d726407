"""With BERTH_PAYLOAD_KEY nothing that Temporal stores, and no log, tells whose card a reservation is for."""

import base64
import re
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from berth.payload_keys import PayloadKey
from berth.temporal.codec import data_converter
from tests.acceptance.stack import PROCESSES, Stack
from worker import WORKFLOWS
from workflows.names import reservation_workflow_id

OLD, NEW = (
    PayloadKey(key_id, bytes([number]) * 32).in_setting() for number, key_id in enumerate(("old", "new"))
)

BEFORE, HIDDEN, ROTATED = "CARDBEFORE4711", "CARDHIDDEN4711", "CARDROTATED4711"
PARENT = "GROUPHIDDEN4711"


async def restart(stack: Stack, keys: str, *names: str) -> None:
    """Have these processes use other keys."""
    for name in names:
        stack.stop(name)
    stack.environment["BERTH_PAYLOAD_KEY"] = keys
    for name in names:
        stack.start(name)

    async def is_ready() -> bool:
        try:
            return (await stack.http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    await stack.until(is_ready, "the API is ready", within=90)


def forms(text: str) -> list[bytes]:
    """The text as bytes, and what any base64 around it contains of it whatever comes before."""
    raw = text.encode()
    found = [raw]
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        found.append(encoded[4 if before else 0 : -4])  # the edges depend on the neighbours
    return found


def files_that_tell(text: str, folder: Path) -> set[str]:
    """The names of Temporal's files and the processes' logs that hold the text in any form."""
    looked_at = [
        path for path in folder.iterdir() if path.name.startswith("temporal.db") or path.suffix == ".log"
    ]
    assert {"temporal.db", "temporal.log", *(f"{name}.log" for name in PROCESSES)} <= {
        path.name for path in looked_at
    }
    return {path.name for path in looked_at for form in forms(text) if form in path.read_bytes()}


@pytest.fixture
async def charger_id(stack: Stack) -> int:
    await stack.charger()
    return int((await stack.about("CP-1"))["id"])


async def test_a_reservations_life_leaves_no_trace_of_its_card(stack: Stack, charger_id: int) -> None:
    first, second = await stack.port_id("CP-1", 1), await stack.port_id("CP-1", 2)
    assert (await stack.reserve(first, 1, id_tag=BEFORE)).status_code == 200
    assert files_that_tell(BEFORE, stack.folder)  # else this test looks in the wrong place

    await restart(stack, OLD, *PROCESSES)
    await stack.until_online("CP-1")
    answer = await stack.reserve(second, 2, id_tag=HIDDEN, parentIdTag=PARENT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["status"] == "Accepted", answer.text
    shown = await stack.show(charger_id, 2)
    assert (shown["state"], shown["idTag"]) == ("active", HIDDEN)
    assert (await stack.show(charger_id, 1))["idTag"] == BEFORE
    assert (await stack.cancel(charger_id, 1)).json()["data"]["status"] == "Accepted"

    await restart(stack, f"{NEW},{OLD}", *PROCESSES)
    await stack.until_online("CP-1")
    assert (await stack.reserve(first, 3, id_tag=ROTATED)).json()["data"]["status"] == "Accepted"
    assert (await stack.cancel(charger_id, 2)).json()["data"]["status"] == "Accepted"
    assert (await stack.until_state(charger_id, "cancelled", 2))["idTag"] == HIDDEN
    assert (await stack.show(charger_id, 3))["idTag"] == ROTATED

    for text in (HIDDEN, PARENT, ROTATED):
        assert files_that_tell(text, stack.folder) == set()
    converter = data_converter(SecretStr(f"{NEW},{OLD}"))
    client = await Client.connect(stack.temporal.address, data_converter=converter)
    handle = client.get_workflow_handle(reservation_workflow_id(charger_id, 2))
    description = await handle.describe()
    assert not re.search(
        "CARD|GROUP", str(description.raw_description.workflow_execution_info.search_attributes)
    )
    assert "CP-1" in (await description.static_summary() or "")

    replayer = Replayer(
        workflows=WORKFLOWS, data_converter=converter, workflow_runner=UnsandboxedWorkflowRunner()
    )
    await replayer.replay_workflow(await handle.fetch_history())


async def test_who_lacks_a_key_says_which_one_and_goes_on_when_given_it(
    stack: Stack, charger_id: int
) -> None:
    await restart(stack, OLD, *PROCESSES)
    await stack.until_online("CP-1")
    port_id = await stack.port_id("CP-1")
    assert (await stack.reserve(port_id, 2, id_tag=HIDDEN)).status_code == 200
    # The new key goes first before everyone has it: this API cannot read what the worker says.
    await restart(stack, f"{NEW},{OLD}", "worker")
    answer = await stack.ask("GET", f"/api/ocpp/reservations/{charger_id}/2")
    assert answer.status_code == 500
    assert list(answer.json()) == ["error"]
    assert "the key 'new', which is not among those of BERTH_PAYLOAD_KEY" in answer.json()["error"]

    # Nor can a gateway of the old key read what the worker asks of it; all go on when they have both.
    await stack.cancel(charger_id, 2)
    await restart(stack, f"{NEW},{OLD}", *PROCESSES)
    await stack.until_state(charger_id, "cancelled", 2)

"""Every message a charger may send is answered, correctly and whatever is in it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from berth.database import Charger, Database, Token
from gateway import ocpp_schemas as schemas
from gateway.charger_events import Outbox
from gateway.ocpp_schemas import Version
from gateway.reports import ChargerReports
from gateway.server import DIALECTS
from tests.gateway.stack import Stack, Temporal, eventually, until
from tests.gateway.station import Payload, Station

WIRE = Path(__file__).parent.parent / "data" / "wire"

STATUS_16 = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
TIME = "2026-11-22T14:32:37Z"
TOKEN_201 = {"idToken": "ABC", "type": "Central"}

# Well-formed requests where an empty one would not say anything.
REQUESTS: dict[tuple[str, str], Payload] = {
    ("1.6", "Authorize"): {"idTag": "ABC"},
    ("1.6", "BootNotification"): {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1"},
    ("1.6", "StatusNotification"): STATUS_16,
    ("1.6", "StartTransaction"): {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": TIME},
    ("1.6", "StopTransaction"): {"transactionId": 1, "meterStop": 5, "timestamp": TIME, "idTag": "ABC"},
    ("2.0.1", "Authorize"): {"idToken": TOKEN_201},
    ("2.0.1", "BootNotification"): {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "V", "model": "M", "serialNumber": "S"},
    },
    ("2.0.1", "StatusNotification"): {
        "timestamp": TIME,
        "connectorStatus": "Available",
        "evseId": 1,
        "connectorId": 1,
    },
    ("2.0.1", "TransactionEvent"): {
        "eventType": "Started",
        "timestamp": TIME,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "T1"},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": TOKEN_201,
    },
}
ACTIONS = [(dialect.version, action) for dialect in DIALECTS.values() for action in dialect.routes]
RUBBISH: list[Payload | None] = [
    None,
    {},
    {"status": 7, "idTag": [], "idToken": "x", "connectorId": "one", "evseId": {}},
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=30),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(("version", "action"), ACTIONS)
async def test_every_action_is_answered_as_its_schema_says(
    stack: Stack, version: Version, action: str
) -> None:
    async with stack.station(version) as station:
        for payload in [REQUESTS.get((version, action), {}), *RUBBISH]:
            answer = await station.call(action, payload)
            assert schemas.faults(version, action, "response", answer) == []


def odd_payloads(version: str, action: str) -> st.SearchStrategy[Payload]:
    """Payloads with the right field names and any values."""
    folder = files("ocpp") / {"1.6": "v16", "2.0.1": "v201"}[version] / "schemas"
    schema = json.loads(
        (folder / f"{action}{'' if version == '1.6' else 'Request'}.json").read_text("utf-8-sig")
    )
    names = [*schema["properties"], "somethingElse"]
    return st.dictionaries(st.sampled_from(names), json_values)


odd_calls = st.sampled_from(ACTIONS).flatmap(
    lambda call: st.tuples(st.just(call[0]), st.just(call[1]), odd_payloads(*call))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=odd_calls)
async def test_no_payload_makes_a_handler_fail(
    stack: Stack, charger: Charger, call: tuple[Version, str, Payload]
) -> None:
    version, action, payload = call
    outbox = Outbox(charger.id, 1, stack.database, stack.event_dispatcher.wake)
    reports = ChargerReports(charger, stack.database, stack.settings, outbox)
    answer = await DIALECTS[f"ocpp{version}"].routes[action](reports, payload)
    assert schemas.faults(version, action, "response", answer) == []


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "[]",
        "{}",
        "[2]",
        '[2,"x"]',
        '[2,"x","Heartbeat",7]',
        '[9,"x",{}]',
        '[3,"nobody",{}]',
        '[4,"nobody"]',
    ],
)
async def test_a_malformed_frame_does_not_end_the_conversation(stack: Stack, version: str, text: str) -> None:
    async with stack.station(version) as station:
        await station.socket.send(text)
        await station.call("Heartbeat")


@pytest.mark.parametrize(("version", "code"), [("1.6", "FormationViolation"), ("2.0.1", "FormatViolation")])
async def test_a_call_without_a_payload_object_gets_the_versions_own_code(
    stack: Stack, version: str, code: str
) -> None:
    async with stack.station(version) as station:
        frame = await station.ask("Heartbeat", [], "odd")
    assert frame[:3] == [4, "odd", code]


async def test_a_201_station_hears_of_an_unreadable_message_id(stack: Stack) -> None:
    async with stack.station("2.0.1") as station:
        answer = station.expect("-1")
        await station.socket.send('[2,null,"Heartbeat",{}]')
        assert (await answer)[:3] == [4, "-1", "RpcFrameworkError"]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_an_unknown_action_is_not_implemented(stack: Stack, version: str) -> None:
    async with stack.station(version) as station:
        assert (await station.ask("Sing", {}))[2] == "NotImplemented"
        assert (await station.ask("../../secret", {}))[2] == "NotImplemented"


async def test_a_numeric_message_id_comes_back_as_a_number(stack: Stack) -> None:
    async with stack.station() as station:
        assert (await station.ask("Heartbeat", {}, 17))[:2] == [3, 17]


async def test_answers_keep_the_order_of_the_calls(stack: Stack) -> None:
    async with stack.station() as station:
        answers = [await station.send_call("Heartbeat", {}) for _ in range(200)]
        done: list[int] = []
        for number, answer in enumerate(answers):
            answer.add_done_callback(lambda _, number=number: done.append(number))  # type: ignore[misc]  # bound now
        for answer in answers:
            await answer
        await station.call("Heartbeat")
    assert done == list(range(200))


@pytest.mark.parametrize("file", sorted(WIRE.glob("*.jsonl")), ids=lambda file: file.stem)
async def test_every_call_of_captured_chargers_is_answered(stack: Stack, file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    calls = [line["frame"] for line in lines if line["kind"] == "rx" and line["frame"][0] == 2]
    version = next(line["ver"] for line in lines if line["kind"] == "rx")
    async with stack.station(version) as station:
        for _, message_id, action, payload in calls:
            answer = await station.ask(action, payload, message_id)
            assert answer[:2] == [3, message_id]
            assert schemas.faults(version, action, "response", answer[2]) == []


async def test_a_boot_leaves_its_facts_in_the_database(stack: Stack) -> None:
    async with stack.station("2.0.1") as station:
        await station.call("BootNotification", REQUESTS["2.0.1", "BootNotification"])
    charger = await stack.database.chargers.by_identity("CP-1")
    assert charger is not None
    assert (charger.manufacturer, charger.model, charger.serial_number) == ("V", "M", "S")


async def test_a_repeated_start_gets_the_same_transaction_id(stack: Stack) -> None:
    start = REQUESTS["1.6", "StartTransaction"]
    async with stack.station() as station:
        first = await station.call("StartTransaction", start)
        again = await station.call("StartTransaction", start)
        other = await station.call("StartTransaction", start | {"meterStart": 9})
    assert first["transactionId"] == again["transactionId"] > 0
    assert other["transactionId"] != first["transactionId"]


async def test_a_transaction_runs_from_its_start_to_its_stop(stack: Stack) -> None:
    async with stack.station() as station:
        started = await station.call("StartTransaction", REQUESTS["1.6", "StartTransaction"])
        charger = await stack.database.chargers.by_identity("CP-1")
        assert charger is not None
        assert (await stack.database.transactions.current(charger.id))[1].id == started["transactionId"]
        await station.call(
            "StopTransaction", {"transactionId": started["transactionId"], "meterStop": 5, "timestamp": TIME}
        )
    assert await stack.database.transactions.current(charger.id) == {}


async def test_an_unchanged_status_is_written_once(stack: Stack) -> None:
    async with stack.station() as station:
        await station.call("StatusNotification", STATUS_16)
        charger = await stack.database.chargers.by_identity("CP-1")
        await station.call("StatusNotification", STATUS_16)
        again = await stack.database.chargers.by_identity("CP-1")
    assert charger is not None
    assert again is not None
    assert charger.ports[0].status_at == again.ports[0].status_at


async def test_a_status_repeated_on_the_next_socket_is_not_written_again(stack: Stack) -> None:
    seen = []
    for word in ("Available", "Available", "Faulted"):
        async with stack.station() as station:
            await station.call("StatusNotification", STATUS_16 | {"status": word})
        charger = await stack.database.chargers.by_identity("CP-1")
        assert charger is not None
        seen.append((charger.ports[0].status, charger.ports[0].status_at))
    assert seen[0] == seen[1]
    assert seen[2][0] == "Faulted"


async def test_both_kinds_of_201_status_mean_the_same(stack: Stack) -> None:
    def reported(evse_id: int, status: str) -> Payload:
        return {
            "generatedAt": TIME,
            "seqNo": 0,
            "eventData": [
                {
                    "eventId": 1,
                    "timestamp": TIME,
                    "trigger": "Delta",
                    "actualValue": status,
                    "eventNotificationType": "HardWiredNotification",
                    "component": {"name": "Connector", "evse": {"id": evse_id, "connectorId": 1}},
                    "variable": {"name": "AvailabilityState"},
                }
            ],
        }

    async with stack.station("2.0.1") as station:
        await station.call("StatusNotification", REQUESTS["2.0.1", "StatusNotification"])
        await station.call("NotifyEvent", reported(1, "Reserved"))
        await station.call("NotifyEvent", reported(2, "Occupied"))
    charger = await stack.database.chargers.by_identity("CP-1")
    assert charger is not None
    assert [port.status for port in charger.ports] == ["Reserved", "Occupied"]


async def authorized(station: Station, id_tag: str) -> Payload:
    """What Authorize says of a token, without the version's wrapping."""
    if station.socket.subprotocol == "ocpp1.6":
        info: Payload = (await station.call("Authorize", {"idTag": id_tag}))["idTagInfo"]
        return {"status": info["status"], "group": info.get("parentIdTag")}
    answer = await station.call("Authorize", {"idToken": {"idToken": id_tag, "type": "ISO14443"}})
    info = answer["idTokenInfo"]
    return {"status": info["status"], "group": info.get("groupIdToken", {}).get("idToken")}


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_listed_member_of_a_reservations_group_is_told_to_charger_and_workflow(
    stack: Stack, charger: Charger, temporal: Temporal, version: str
) -> None:
    await stack.database.tokens.put(Token("MEMBER", "FLEET"))
    row = await stack.subscribe(charger.id, id_tag="Driver", parent_id_tag="Fleet")
    async with stack.station(version) as station:
        # In the reservation's own spelling: some chargers compare it case by case.
        assert await authorized(station, "member") == {"status": "Accepted", "group": "Fleet"}
        if version == "1.6":
            answer = await station.call(
                "StartTransaction", REQUESTS["1.6", "StartTransaction"] | {"idTag": "member"}
            )
            group = answer["idTagInfo"]["parentIdTag"]
        else:
            token = {"idToken": "member", "type": "ISO14443"}
            started_201 = REQUESTS["2.0.1", "TransactionEvent"]
            answer = await station.call("TransactionEvent", started_201 | {"idToken": token})
            group = answer["idTokenInfo"]["groupIdToken"]["idToken"]
        assert group == "Fleet"
        await until(lambda: temporal.signals(row.workflow_id))
    (started,) = temporal.said("transaction_started")
    assert (started.id_tag, started.parent_id_tag, started.port_number) == ("member", "Fleet", 1)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_tokens_are_judged_by_reservation_list_and_setting(
    database: Database, temporal: Temporal, version: str
) -> None:
    await database.tokens.put(Token("LISTED", "FLEET"))
    await database.tokens.put(Token("BLOCKED", None, "Blocked"))
    await database.tokens.put(Token("EXPIRED", None, "Expired"))
    async with (
        Stack(database, temporal, unknown_tokens="refuse") as stack,
        stack.station(version) as station,
    ):
        await station.boot()
        charger = await database.chargers.by_identity("CP-1")
        assert charger is not None
        for number, id_tag in enumerate(["Mine", "LISTED", "BLOCKED", "EXPIRED"], start=1):
            await stack.subscribe(charger.id, reservation_id=number, id_tag=id_tag, parent_id_tag="HOME")
        assert await authorized(station, "mINE") == {"status": "Accepted", "group": "HOME"}
        assert await authorized(station, "listed") == {"status": "Accepted", "group": "FLEET"}
        assert (await authorized(station, "BLOCKED"))["status"] == "Blocked"
        assert (await authorized(station, "EXPIRED"))["status"] == "Accepted"
        assert await authorized(station, "STRANGER") == {"status": "Invalid", "group": None}


async def test_a_listed_token_without_a_reservation_is_as_the_list_says(stack: Stack) -> None:
    await stack.database.tokens.put(Token("EXPIRED", None, "Expired"))
    async with stack.station() as station:
        assert (await authorized(station, "EXPIRED"))["status"] == "Expired"
        assert (await authorized(station, "STRANGER"))["status"] == "Accepted"


async def test_nobody_needs_no_authorization_on_201(stack: Stack) -> None:
    async with stack.station("2.0.1") as station:
        answer = await station.call("Authorize", {"idToken": {"idToken": "", "type": "NoAuthorization"}})
    assert answer["idTokenInfo"] == {"status": "Accepted"}


async def test_a_parent_too_long_for_16_is_left_out(stack: Stack) -> None:
    await stack.database.tokens.put(Token("ABC", "x" * 30))
    async with stack.station() as station:
        assert await authorized(station, "ABC") == {"status": "Accepted", "group": None}


async def test_only_a_failing_database_gives_an_internal_error(stack: Stack) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        await stack.database.close()
        assert (await station.ask("StatusNotification", STATUS_16))[2] == "InternalError"
        await station.call("Heartbeat")
        await station.call("MeterValues", {"connectorId": 1, "meterValue": []})


async def test_a_charger_that_reports_absurd_ports_fills_no_table(stack: Stack) -> None:
    async with stack.station(identity="NEW") as station:
        for number in (-1, 100, 2**31, "many"):
            await station.call("StatusNotification", STATUS_16 | {"connectorId": number})
    charger = await stack.database.chargers.by_identity("NEW")
    assert charger is not None
    assert charger.ports == ()


async def test_every_exchange_is_in_the_message_log_without_secrets(stack: Stack) -> None:
    async with stack.station("2.0.1") as station:
        await station.call("Authorize", {"idToken": {"idToken": "1234", "type": "KeyCode"}})
        await station.call("Heartbeat")

    async def written() -> Any:
        await stack.messages.flush()
        return await stack.database.messages.query()

    heartbeat, authorize = await eventually(written)
    assert (heartbeat.message_type, authorize.message_type) == ("Heartbeat", "Authorize")
    assert (authorize.sender, authorize.protocol, authorize.ocpp_identity) == ("charger", "ocpp2.0.1", "CP-1")
    assert json.loads(authorize.payload_json) == {"idToken": {"idToken": "***", "type": "KeyCode"}}
    assert json.loads(authorize.response_json) == {"idTokenInfo": {"status": "Accepted"}}

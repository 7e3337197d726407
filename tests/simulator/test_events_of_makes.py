"""Every make of charger signals, uses, forgets and comes back as it was seen to on the wire."""

import asyncio
from datetime import datetime

import pytest

from simulator import ManualClock, load_personality
from simulator.ports import PortStatus
from tests.simulator.central_system import Payload
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.test_answers_of_makes import MAKES
from tests.simulator.until import until

STATUS, ANSWER = "rx StatusNotification", "rx answer Accepted"


async def made(bench: BenchMaker, make: str, identity: str = "C1", **options: object) -> Bench:
    """A charger of a make, in the version that make speaks."""
    charger: Bench = await bench(identity, version=MAKES[make], personality=make, **options)
    return charger


def transactions(b: Bench) -> list[Payload]:
    """What said that a transaction began."""
    if b.charger.version == "1.6":
        return b.calls("StartTransaction")
    return [event for event in b.calls("TransactionEvent") if event["eventType"] == "Started"]


def endings(b: Bench) -> list[Payload]:
    """What said that a transaction ended."""
    if b.charger.version == "1.6":
        return b.calls("StopTransaction")
    return [event for event in b.calls("TransactionEvent") if event["eventType"] == "Ended"]


@pytest.mark.parametrize(
    ("make", "before"),
    [
        ("microocpp16", False),
        ("openocpp16", False),
        ("sap16", True),
        ("shiv3_16", True),
        ("shiv3_201", False),
        ("libocpp201", False),
    ],
)
async def test_the_status_comes_on_its_side_of_the_answer(bench: BenchMaker, make: str, before: bool) -> None:
    b = await made(bench, make)
    b.link.frames.clear()
    await b.reserve(1)
    await b.shows("Reserved")
    order = b.link.order()
    assert (order.index(f"{STATUS} Reserved") < order.index(ANSWER)) is before
    b.link.frames.clear()
    await b.cancel(1)
    await b.shows("Reserved", "Available")
    order = b.link.order()
    assert (order.index(f"{STATUS} Available") < order.index(ANSWER)) is before


async def test_sap_answers_only_after_both_of_its_calls_were_answered(bench: BenchMaker) -> None:
    b = await made(bench, "sap16")
    release = asyncio.Event()
    asked: list[str] = []

    async def hold(link: object, action: str, payload: Payload) -> None:
        asked.append(action)
        await release.wait()

    b.central.before_answer = hold
    task = asyncio.create_task(b.reserve(1))
    await until(lambda: asked == ["Authorize"])
    assert not task.done()
    release.set()
    assert await task == "Accepted"
    assert asked == ["Authorize", "StatusNotification"]


async def test_sap_rejects_when_its_authorize_is_not_answered(bench: BenchMaker) -> None:
    b = await made(bench, "sap16")
    b.charger.personality = b.charger.personality.model_copy(update={"authorize_timeout": 0.05})
    b.central.silent_to.add("Authorize")
    assert await b.reserve(1) == "Rejected"


async def test_sap_answers_out_of_order(bench: BenchMaker) -> None:
    b = await made(bench, "sap16")
    answers = list(await asyncio.gather(b.reserve(24), b.cancel(24)))
    order = [frame[2]["status"] for side, frame in b.link.frames if side == "rx" and frame[0] == 3]
    assert answers == ["Accepted", "Rejected"]
    assert order[-2:] == ["Rejected", "Accepted"]


@pytest.mark.parametrize(
    ("make", "noticed_after"),
    [
        ("microocpp16", 5.2),
        ("openocpp16", 10),
        ("sap16", None),
        ("shiv3_16", 60),
        ("shiv3_201", 60),
        ("libocpp201", 5),
    ],
)
async def test_an_expiry_is_noticed_when_the_make_looks(
    bench: BenchMaker, make: str, noticed_after: float | None
) -> None:
    clock = ManualClock()
    b = await made(bench, make, clock=clock)
    await b.reserve(1, seconds=5)
    await b.shows("Reserved")
    clock.advance((noticed_after or 3600) - 0.3)
    b.charger.tick()
    early = noticed_after == 5 or make == "microocpp16"
    assert 1 in b.charger.reservations or early
    clock.advance(0.6)
    b.charger.tick()
    if noticed_after is None:
        assert b.charger.status(1) is PortStatus.RESERVED
        assert await b.cancel(1) == "Accepted"
        return
    await b.shows("Reserved", "Available")
    assert len(b.calls("ReservationStatusUpdate")) == (1 if make == "libocpp201" else 0)


async def test_shiv3_forgets_to_expire_after_an_outage(bench: BenchMaker) -> None:
    clock = ManualClock()
    b = await made(bench, "shiv3_16", clock=clock)
    await b.charger.drop()
    await until(lambda: b.central.connections == 2 and b.charger.booted.is_set())
    await b.reserve(1, seconds=5)
    clock.advance(120)
    b.charger.tick()
    assert await b.cancel(1) == "Accepted"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_silent_expirer_frees_the_port_and_says_nothing(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version, personality="silent-expirer")
    await b.reserve(1, seconds=0.1)
    await b.shows("Reserved")
    await until(lambda: not b.charger.reservations)
    assert await b.cancel(1) == "Rejected"
    assert b.statuses(1)[-1] == "Reserved"
    assert not b.calls("ReservationStatusUpdate")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_one_that_stays_reserved_never_expires(bench: BenchMaker, version: str) -> None:
    clock = ManualClock()
    b = await bench(version=version, personality="stays-reserved", clock=clock)
    await b.reserve(1, seconds=5)
    clock.advance(86400)
    b.charger.tick()
    assert await b.reserve(2) == "Occupied"
    assert await b.cancel(1) == "Accepted"


@pytest.mark.parametrize(
    ("make", "kept"),
    [("openocpp16", True), ("shiv3_16", True), ("shiv3_201", True), ("libocpp201", False)],
)
async def test_a_fault_drops_or_keeps_the_reservation(bench: BenchMaker, make: str, kept: bool) -> None:
    b = await made(bench, make)
    await b.reserve(1)
    await b.charger.fault(1)
    await b.shows("Reserved", "Faulted")
    await b.charger.recover(1)
    await b.shows("Reserved" if kept else "Available")
    assert await b.cancel(1) == ("Accepted" if kept else "Rejected")
    removed = [u["reservationUpdateStatus"] for u in b.calls("ReservationStatusUpdate")]
    assert removed == (["Removed"] if make == "libocpp201" else [])


@pytest.mark.parametrize(("make", "answer"), [("microocpp16", "Rejected"), ("sap16", "Accepted")])
async def test_inoperative_while_reserved(bench: BenchMaker, make: str, answer: str) -> None:
    b = await made(bench, make)
    await b.reserve(1)
    await b.change_availability(1, operative=False)
    await b.shows("Reserved", "Unavailable")
    assert await b.cancel(1) == answer
    if make == "sap16":
        await b.shows("Unavailable", "Available")
        assert await b.reserve(2) == "Rejected"


@pytest.mark.parametrize(
    ("make", "authorizes", "tells", "tells_at_the_end"),
    [
        ("microocpp16", True, True, False),
        ("openocpp16", False, True, False),
        ("sap16", True, True, False),
        ("shiv3_16", True, True, False),
        ("shiv3_201", True, True, True),
        ("vcp16", True, False, False),
        ("libocpp201", False, True, False),
    ],
)
async def test_the_right_tag(
    bench: BenchMaker, make: str, authorizes: bool, tells: bool, tells_at_the_end: bool
) -> None:
    b = await made(bench, make)
    await b.reserve(9, tag="TAG-A")
    before = len(b.calls("Authorize"))
    assert await b.charger.start_charging("TAG-A")
    await until(lambda: transactions(b))
    assert (len(b.calls("Authorize")) > before) is authorizes
    assert (transactions(b)[0].get("reservationId") == 9) is tells
    await b.charger.stop_charging(1)
    await until(lambda: endings(b))
    assert ("reservationId" in endings(b)[0]) is tells_at_the_end
    assert b.charger.reservations == {}


async def test_shiv3_reports_another_token_type_than_was_reserved(bench: BenchMaker) -> None:
    b = await made(bench, "shiv3_201")
    await b.reserve(9, tag="TAG-A")
    await b.charger.start_charging("TAG-A")
    await until(lambda: transactions(b))
    assert transactions(b)[0]["idToken"]["type"] == "ISO14443"


@pytest.mark.parametrize(
    ("make", "tells"),
    [("microocpp16", True), ("openocpp16", True), ("sap16", False), ("libocpp201", True)],
)
async def test_a_tag_of_the_group(bench: BenchMaker, make: str, tells: bool) -> None:
    b = await made(bench, make)
    b.central.groups["TAG-K"] = "P"
    await b.reserve(9, tag="TAG-A", parent="P")
    assert await b.charger.start_charging("TAG-K")
    await until(lambda: transactions(b))
    assert (transactions(b)[0].get("reservationId") == 9) is tells
    assert (9 in b.charger.reservations) is not tells


@pytest.mark.parametrize(
    ("make", "starts", "tells", "authorizes"),
    [
        ("microocpp16", False, False, True),
        ("openocpp16", False, False, False),
        ("sap16", True, False, True),
        ("shiv3_16", True, True, True),
        ("shiv3_201", True, True, True),
        ("libocpp201", False, False, True),
    ],
)
async def test_a_wrong_tag(bench: BenchMaker, make: str, starts: bool, tells: bool, authorizes: bool) -> None:
    b = await made(bench, make)
    await b.reserve(9, tag="TAG-A")
    before = len(b.calls("Authorize"))
    assert await b.charger.start_charging("TAG-B") is starts
    assert (len(b.calls("Authorize")) > before) is authorizes
    if starts:
        await until(lambda: transactions(b))
        assert (transactions(b)[0].get("reservationId") == 9) is tells
    assert (9 in b.charger.reservations) is not tells


@pytest.mark.parametrize(
    ("make", "answer", "tells", "stays"),
    [
        ("microocpp16", "Accepted", False, False),
        ("openocpp16", "Rejected", False, True),
        ("sap16", "Accepted", False, True),
        ("shiv3_16", "Accepted", True, False),
        ("shiv3_201", "Accepted", True, False),
        ("vcp16", "Accepted", False, False),
        ("vcp201", "Accepted", False, False),
        ("libocpp201", "Rejected", False, True),
    ],
)
async def test_a_remote_start_with_a_wrong_tag(
    bench: BenchMaker, make: str, answer: str, tells: bool, stays: bool
) -> None:
    b = await made(bench, make)
    await b.reserve(9, tag="TAG-A")
    await b.charger.plug_in(1)
    if b.charger.version == "1.6":
        said = await b.link.call("RemoteStartTransaction", {"idTag": "TAG-B", "connectorId": 1})
    else:
        token = {"idToken": "TAG-B", "type": "Central"}
        request = {"idToken": token, "evseId": 1, "remoteStartId": 3}
        said = await b.link.call("RequestStartTransaction", request)
    assert said["status"] == answer
    if answer == "Accepted":
        await until(lambda: transactions(b))
        assert (transactions(b)[0].get("reservationId") == 9) is tells
    assert (9 in b.charger.reservations) is stays


async def test_micro_ocpp_uses_a_reservation_at_another_connector(bench: BenchMaker) -> None:
    b = await made(bench, "microocpp16")
    await b.reserve(9, port=1, tag="TAG-A")
    await b.shows("Reserved", port=1)
    await b.charger.start_charging("TAG-A", port=2)
    await until(lambda: transactions(b))
    assert (transactions(b)[0]["connectorId"], transactions(b)[0]["reservationId"]) == (2, 9)
    await b.shows("Reserved", "Available", port=1)


@pytest.mark.parametrize("make", ["sap16", "microocpp16", "openocpp16", "libocpp201"])
async def test_a_whole_charger_reservation_is_used_at_any_port(bench: BenchMaker, make: str) -> None:
    b = await made(bench, make)
    await b.reserve(9, port=None, tag="TAG-A")
    await b.charger.start_charging("TAG-A", port=2)
    await until(lambda: transactions(b))
    assert transactions(b)[0]["reservationId"] == 9
    assert b.charger.reservations == {}


@pytest.mark.parametrize(
    ("make", "statuses"), [("openocpp16", ["Available", "Reserved"]), ("microocpp16", ["Available"])]
)
async def test_a_whole_charger_reservation_at_connector_zero(
    bench: BenchMaker, make: str, statuses: list[str]
) -> None:
    b = await made(bench, make)
    await b.reserve(9, port=None)
    await b.reserve(10, port=1)
    await b.shows("Reserved", port=1)
    assert b.statuses(0) == statuses
    assert b.statuses(2) == ["Available"]


@pytest.mark.parametrize(
    ("make", "boots", "remembers"),
    [
        ("microocpp16", False, True),
        ("openocpp16", False, True),
        ("sap16", False, True),
        ("shiv3_16", True, False),
        ("shiv3_201", True, False),
        ("libocpp201", False, True),
    ],
)
async def test_a_socket_that_comes_back(bench: BenchMaker, make: str, boots: bool, remembers: bool) -> None:
    b = await made(bench, make)
    await b.reserve(9)
    await b.shows("Reserved")
    await b.charger.drop()
    await until(lambda: b.central.connections == 2 and b.charger.booted.is_set())
    assert (len(b.calls("BootNotification")) == 2) is boots
    if not remembers:
        await b.shows("Reserved", "Available")
    assert await b.cancel(9) == ("Accepted" if remembers else "Rejected")


async def test_sap_says_nothing_of_what_changed_meanwhile(bench: BenchMaker) -> None:
    b = await made(bench, "sap16")
    await b.charger.disconnect()
    await until(lambda: not b.charger.connected)
    await b.charger.fault(1)
    await b.charger.reconnect()
    await until(lambda: b.charger.booted.is_set())
    assert await b.reserve(1, port=2) == "Accepted"
    assert "Faulted" not in b.statuses(1)


async def test_vcp_does_not_come_back_by_itself(bench: BenchMaker) -> None:
    b = await made(bench, "vcp16")
    await b.charger.drop()
    await until(lambda: not b.charger.connected)
    await b.charger.reboot()
    await until(lambda: b.charger.booted.is_set())
    assert b.central.connections == 2
    assert len(b.calls("BootNotification")) == 2


@pytest.mark.parametrize(
    ("make", "shows", "answer"),
    [
        ("microocpp16", "Reserved", "Accepted"),
        ("openocpp16", "Reserved", "Accepted"),
        ("sap16", "Available", "Accepted"),
        ("shiv3_16", "Available", "Rejected"),
        ("shiv3_201", "Available", "Rejected"),
        ("libocpp201", "Available", "Rejected"),
    ],
)
async def test_a_restart_while_reserved(bench: BenchMaker, make: str, shows: str, answer: str) -> None:
    b = await made(bench, make)
    await b.reserve(9)
    await b.shows("Reserved")
    await b.charger.reboot()
    await until(lambda: len(b.calls("BootNotification")) == 2 and b.charger.booted.is_set())
    await b.shows("Reserved", shows)
    assert await b.cancel(9) == answer


@pytest.mark.parametrize(
    ("make", "tells", "keeps_time"),
    [
        ("microocpp16", True, True),
        ("openocpp16", True, True),
        ("sap16", False, True),
        ("shiv3_16", False, False),
        ("libocpp201", True, True),
    ],
)
async def test_a_transaction_while_offline(
    bench: BenchMaker, make: str, tells: bool, keeps_time: bool
) -> None:
    clock = ManualClock()
    b = await made(bench, make, clock=clock)
    await b.reserve(9, tag="TAG-A")
    await b.charger.disconnect()
    await until(lambda: not b.charger.connected)
    await b.charger.start_charging("TAG-A")
    started_at = clock()
    b.central.said.clear()
    clock.advance(30)
    await b.charger.reconnect()
    await until(lambda: transactions(b) and b.charger.booted.is_set())
    assert (transactions(b)[0].get("reservationId") == 9) is tells
    told_at = datetime.fromisoformat(transactions(b)[0]["timestamp"])
    assert told_at == (started_at if keeps_time else clock())
    if make == "libocpp201":
        actions = [frame[2] for _, frame in b.central.said if frame[0] == 2]
        assert actions.index("TransactionEvent") < actions.index("StatusNotification")
        assert transactions(b)[0]["offline"] is True


@pytest.mark.parametrize("make", ["microocpp16", "libocpp201"])
async def test_an_expiry_while_offline(bench: BenchMaker, make: str) -> None:
    clock = ManualClock()
    b = await made(bench, make, clock=clock)
    await b.reserve(9, seconds=5)
    await b.shows("Reserved")
    await b.charger.disconnect()
    await until(lambda: not b.charger.connected)
    clock.advance(10)
    b.charger.tick()
    await b.charger.reconnect()
    await b.shows("Reserved", "Available")
    assert not b.calls("ReservationStatusUpdate")


async def test_message_ids_are_repeated_or_numbered(bench: BenchMaker) -> None:
    b = await made(bench, "microocpp16")
    await b.charger.reboot()
    await until(lambda: len(b.calls("BootNotification")) == 2)
    boots = [frame[1] for _, frame in b.central.said if frame[0] == 2 and frame[2] == "BootNotification"]
    assert boots[0] == boots[1]
    numbered = await made(bench, "openocpp16", "C2")
    ids = [frame[1] for name, frame in b.central.said if name == "C2" and frame[0] == 2]
    assert all(one.isdigit() for one in ids)
    assert "." not in numbered.calls("StatusNotification")[0]["timestamp"]


@pytest.mark.parametrize("make", ["sap16", "shiv3_16"])
async def test_a_status_without_its_time(bench: BenchMaker, make: str) -> None:
    b = await made(bench, make)
    assert all("timestamp" not in status for status in b.calls("StatusNotification"))


async def test_vcp_sends_a_call_before_the_last_is_answered(bench: BenchMaker) -> None:
    b = await made(bench, "vcp16")
    b.central.silent_to.add("StatusNotification")
    await b.charger.start_charging("TAG-A")
    await until(lambda: transactions(b))


async def test_others_wait_for_the_answer_but_answer_themselves(bench: BenchMaker) -> None:
    b = await made(bench, "microocpp16")
    b.central.silent_to.add("StatusNotification")
    await b.charger.fault(2)
    await b.charger.fault(1)
    assert await b.reserve(1) == "Faulted"
    assert "Faulted" not in b.statuses(1)


@pytest.mark.parametrize(
    ("report", "actions"), [("NotifyEvent", {"NotifyEvent"}), ("both", {"NotifyEvent", "StatusNotification"})]
)
async def test_a_status_can_be_an_event(bench: BenchMaker, report: str, actions: set[str]) -> None:
    reporter = load_personality().model_copy(update={"status_report": report})
    b = await bench(version="2.0.1", personality=reporter)
    b.central.said.clear()
    await b.reserve(1)
    await until(lambda: len(b.central.said) == len(actions) + 1)
    assert {frame[2] for _, frame in b.central.said if frame[0] == 2} == actions

"""One trace from a caller through Berth to the charger's answer, as a collector gets it."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from berth.payload_keys import fresh_key
from simulator.misbehaviour import Wrong
from tests.acceptance.collector import Collector, Span, collector, hanging_collector
from tests.acceptance.stack import KEY, PROCESSES, Stack

TOKEN = "CARDTRACED4711"
CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"

START = "StartUpdateWithStartWorkflow:Reservation"
RESERVE = [
    ("berth-api", "SERVER", "POST /api/ocpp/reservations"),
    ("berth-api", "CLIENT", START),
    ("berth-worker", "CLIENT", "StartActivity:ReserveNow"),
    ("berth-gateway", "SERVER", "RunActivity:ReserveNow"),
    ("berth-gateway", "CLIENT", "ReserveNow"),
]
CANCEL = [
    ("berth-api", "SERVER", "POST /api/ocpp/reservations/cancel"),
    ("berth-api", "CLIENT", "StartWorkflowUpdate:cancel"),
    ("berth-worker", "CLIENT", "StartActivity:CancelReservation"),
    ("berth-gateway", "SERVER", "RunActivity:CancelReservation"),
    ("berth-gateway", "CLIENT", "CancelReservation"),
]
FORWARDED_CANCEL = [CANCEL[0], ("berth-api", "CLIENT", "StartWorkflow:ForwardCancel"), *CANCEL[2:]]


def traced_stack(folder: Path, temporal_cli: Path, endpoint: str) -> Stack:
    return Stack(
        folder,
        temporal_cli,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_BSP_SCHEDULE_DELAY="100",
        BERTH_PAYLOAD_KEY=fresh_key().in_setting(),
        BERTH_OCPP_CALL_TIMEOUT="2",
        BERTH_LOG_FORMAT="json",
    )


def steps(path: list[Span]) -> list[tuple[str, str, str]]:
    return [(span.service, span.kind, span.name) for span in path]


def log_lines(stack: Stack, name: str, event: str) -> list[dict[str, Any]]:
    lines = (stack.folder / f"{name}.log").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


async def frames(stack: Stack, collected: Collector, action: str, count: int) -> list[Span]:
    """The spans of these frames, each with all that led to it."""
    found: list[Span] = []

    async def are_there() -> bool:
        found[:] = [span for span in collected.spans if span.name == action]
        return len(found) == count and all(len(collected.path_to(span)) == 5 for span in found)

    await stack.until(are_there, f"{count} whole traces to {action}", last=lambda: collected.spans)
    return found


async def test_a_trace_leads_from_the_call_to_the_frame_and_never_tells_whose_card_it_was(
    tmp_path: Path, temporal_cli: Path
) -> None:
    with collector() as collected:
        async with traced_stack(tmp_path, temporal_cli, collected.url) as stack:
            charger = await stack.charger()
            charger_id = (await stack.about("CP-1"))["id"]
            first, second = await stack.port_id("CP-1", 1), await stack.port_id("CP-1", 2)

            caller = {"traceparent": f"00-{CALLER}-{CALLERS_SPAN}-01", "X-Request-Id": "from-the-shop"}
            answer = await stack.reserve(first, 1, id_tag=TOKEN, headers=caller)
            assert answer.json()["data"]["status"] == "Accepted", answer.text
            # Its cancel finds the reservation on a worker that has to replay it.
            stack.stop("worker")
            stack.start("worker")
            assert (await stack.cancel(charger_id, 1)).status_code in (200, 202)
            await stack.until_state(charger_id, "cancelled", 1)
            assert (await stack.cancel(charger_id, 99)).status_code == 200  # nobody's: the charger is asked
            await charger.misbehave(Wrong.IGNORE)
            await stack.reserve(second, 2, id_tag=TOKEN)
            await stack.http.delete("/api/tokens", params={"idTag": TOKEN})
            await stack.http.get(f"/api/nothing/{TOKEN}")

            # The charger's second answer is to the repetition: nobody knew what became of the first frame.
            reserved, silent, repeated = await frames(stack, collected, "ReserveNow", 3)
            cancelled, forwarded = await frames(stack, collected, "CancelReservation", 2)
            for name in PROCESSES:
                stack.stop(name)

    assert steps(collected.path_to(reserved)) == RESERVE
    assert reserved.trace_id == CALLER
    assert collected.path_to(reserved)[0].parent_id == CALLERS_SPAN
    assert steps(collected.path_to(cancelled)) == CANCEL
    assert collected.path_to(cancelled)[0].parent_id == ""
    assert cancelled.trace_id != CALLER
    assert steps(collected.path_to(forwarded)) == FORWARDED_CANCEL

    assert reserved.instance == "main"
    assert reserved.attributes.pop("ocpp.message_id")
    assert reserved.attributes == {
        "ocpp.action": "ReserveNow",
        "ocpp.version": "1.6",
        "ocpp.status": "Accepted",
        "berth.charger_id": charger_id,
        "berth.outcome": "answered",
    }
    assert collected.path_to(reserved)[3].attributes["berth.reservation_id"] == 1
    assert (silent.failed, silent.attributes["berth.outcome"]) == (True, "timeout")
    assert silent.seconds > 1.9
    assert (repeated.failed, repeated.trace_id) == (False, silent.trace_id)

    told = Counter(span.name for span in collected.trace(CALLER) + collected.trace(cancelled.trace_id))
    for once in ("RunWorkflow:Reservation", "HandleUpdate:reserve", "HandleUpdate:cancel"):
        assert told[once] == 1, told
    assert not any("CompleteWorkflow" in span.name for span in collected.trace(CALLER))
    http = {span.name for span in collected.spans if span.kind == "SERVER" and span.service == "berth-api"}
    assert {"GET", "DELETE /api/tokens"} < http
    assert not any("health" in name for name in http)

    everything = b"".join(collected.bodies)
    for secret in (TOKEN, KEY, "idTag", "nothing"):
        assert secret.encode() not in everything, secret

    for name, event in (
        ("api", "reserve_answered"),
        ("worker", "reservation_state"),
        ("gateway", "reserve_now_answered"),
    ):
        line = log_lines(stack, name, event)[0]
        assert (line["trace_id"], line["charger_id"], line["reservation_id"]) == (CALLER, charger_id, 1)
    assert log_lines(stack, "api", "reserve_answered")[0]["request_id"] == "from-the-shop"
    (late,) = log_lines(stack, "gateway", "call_timed_out")
    assert (late["reservation_id"], late["trace_id"]) == (2, silent.trace_id)


async def test_a_collector_that_hangs_holds_up_neither_reservations_nor_processes_that_stop(
    tmp_path: Path, temporal_cli: Path
) -> None:
    with hanging_collector() as hangs:
        async with traced_stack(tmp_path, temporal_cli, hangs) as stack:
            await stack.charger()
            charger_id = (await stack.about("CP-1"))["id"]
            answer = await stack.reserve(await stack.port_id("CP-1"))
            assert answer.json()["data"]["status"] == "Accepted", answer.text
            assert (await stack.cancel(charger_id)).json()["data"]["status"] == "Accepted"
            for name in PROCESSES:
                asked_at = time.monotonic()
                assert stack.stop(name) == 0
                assert time.monotonic() - asked_at < 10, f"{name} waited for its collector"

"""Reservations are counted by closed words, and a replay counts nothing."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from tests.workflows.record_histories import HISTORIES, STORIES
from worker import WORKFLOWS
from workflows.messages import ReservationState, ReserveStatus
from workflows.reservation.state_count import NAME, NO_REASON, OCPP_ERROR, OTHER, OWN_REASONS, reason_class


@pytest.mark.parametrize(
    ("state", "reason", "status", "label"),
    [
        (ReservationState.ACTIVE, None, ReserveStatus.ACCEPTED, NO_REASON),
        (ReservationState.SENDING, "ChargerOffline", None, "ChargerOffline"),
        (ReservationState.REJECTED, None, ReserveStatus.OCCUPIED, "Occupied"),
        (ReservationState.REJECTED, "ReservedByOther", ReserveStatus.OCCUPIED, "ReservedByOther"),
        (ReservationState.REJECTED, "words of a charger", ReserveStatus.FAULTED, "Faulted"),
        (ReservationState.UNKNOWN, "OcppError:words of a charger", None, OCPP_ERROR),
        (ReservationState.REMOVED, "words of a charger", None, OTHER),
        (ReservationState.REMOVED, "PortFaulted", ReserveStatus.ACCEPTED, "PortFaulted"),
        (ReservationState.EXPIRED, None, ReserveStatus.ACCEPTED, NO_REASON),
    ],
)
def test_a_reason_is_one_of_few_words(
    state: ReservationState, reason: str | None, status: ReserveStatus | None, label: str
) -> None:
    assert reason_class(state, reason, status) == label


def test_whatever_chargers_say_the_words_stay_few() -> None:
    closed = {*OWN_REASONS, *(status.value for status in ReserveStatus), NO_REASON, OTHER, OCPP_ERROR}
    said = [
        None,
        *OWN_REASONS,
        *(f"{prefix}{number}" for prefix in ("", "OcppError:") for number in range(50)),
    ]
    labels = {
        reason_class(state, reason, status)
        for state in ReservationState
        for reason in said
        for status in (None, *ReserveStatus)
    }
    assert labels <= closed


async def test_a_replay_counts_nothing() -> None:
    name = next(iter(STORIES))
    history = WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())
    counted = MetricBuffer(10_000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=counted))
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
        runtime=runtime,
    )
    await replayer.replay_workflow(history)
    runtime.metric_meter.create_counter("heard", None, None).add(1)
    names = {update.metric.name for update in counted.retrieve_updates()}
    assert "heard" in names
    assert NAME not in names

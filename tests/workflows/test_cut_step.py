"""A change of steps is safe where it is asked for in a run's first step, and nowhere else."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.workflows.record_cut_steps import FILES, PROBES, PatchedFirst, PatchedLate, is_cut


def recorded(name: str) -> WorkflowHistory:
    """A history in which a look cut the step between a local activity and what follows from it."""
    return WorkflowHistory.from_json(name, (FILES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", sorted(PROBES))
def test_the_recorded_step_was_cut(name: str) -> None:
    assert is_cut(recorded(name))


async def test_a_patch_asked_for_after_a_local_activity_strands_who_was_looked_at_just_then() -> None:
    replayer = Replayer(workflows=[PatchedLate], workflow_runner=UnsandboxedWorkflowRunner())
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(recorded("patched-late"))


async def test_a_patch_asked_for_in_the_first_step_survives_that() -> None:
    replayer = Replayer(workflows=[PatchedFirst], workflow_runner=UnsandboxedWorkflowRunner())
    await replayer.replay_workflow(recorded("patched-first"))

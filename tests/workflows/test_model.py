"""Whatever happens, in whatever order: what a reservation says is so.

Hypothesis draws sequences of everything that can happen to a reservation and lives each against the real
workflow, on a server that skips time, with a modelled charger of some make (`model.py`). `make test` lives a
fixed set of sequences, `make chaos` many longer ones from a seed that it prints.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from launch.temporal_cli import find_temporal_cli
from simulator.personality import load_personality, personality_names
from tests.workflows.model import WAIT, Call, Fate, Site
from tests.workflows.world import DEV_SERVER
from worker import WORKFLOWS
from workflows.messages import (
    CancelAnswer,
    ReservationState,
    ReserveAnswer,
    ReserveStatus,
    Snapshot,
    Terms,
)
from workflows.names import SEARCH_ATTRIBUTES
from workflows.reservation.workflow import ReservationWorkflow

FIXED = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

# Long histories early: every sequence of some length continues as new.
SERVER = [
    *(option for option in DEV_SERVER if "suggestContinueAsNew" not in option),
    "limit.historyCount.suggestContinueAsNew=80",
]

SETTLED = timedelta(minutes=5)  # settle time, connection time-out and route spacing are over
DOUBTS_OVER = timedelta(minutes=36)  # the rarest attempt to learn a lost answer is over
LATEST_ANSWER = WAIT + timedelta(seconds=10)
NORMAL_FAILURES = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,  # a signal met the end
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}


@dataclass(frozen=True)
class Script:
    """A make of charger, how the first reservation goes, and what happens then."""

    make: str
    on_1_6: bool
    cached_workflows: int  # 0: every workflow task replays the whole history
    is_online: bool
    fates: tuple[Fate, ...]
    first: tuple[Any, ...]
    steps: tuple[tuple[Any, ...], ...]


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """A step is the name of a method of `Sequence` and its arguments."""
    return st.tuples(st.just(name), *arguments)


flags = st.booleans()
makes = st.sampled_from([name for name in personality_names() if name != "no-reservations"])
fates = st.lists(st.sampled_from(Fate), min_size=1, max_size=3).map(tuple)
port_numbers = st.sampled_from([1, 1, 2])
reserves = step(
    "reserve",
    st.sampled_from([2, 10, 30, 60]),
    st.sampled_from([1, 1, 1, 2, None]),
    st.sampled_from(["RFID-A", "RFID-A", "RFID-B"]),
    flags,
    flags,
    st.sampled_from([False, False, True]),
)
steps = st.one_of(
    reserves,
    reserves,
    step("reserve_the_same"),
    step("cancel", st.sampled_from(["update", "update", "signal", "native"])),
    step("wait", st.sampled_from([3, 40, 70, 200, 400, 1000])),
    step("wait", st.sampled_from([3, 40, 70, 200, 400, 1000])),
    step("wait_for_expiry"),
    step("plan_frames", fates),
    step("let_the_charger_think"),
    step("disconnect_or_reconnect"),
    step("disconnect_or_reconnect"),
    step("reboot"),
    step("charge", port_numbers, st.sampled_from(["RFID-A", "RFID-B", "CHILD", "STRANGER"])),
    step("leave", port_numbers),
    step("break_or_mend", port_numbers),
    step("reserve_for_other", port_numbers),
    step("repeat_last_event"),
    step("restart_worker"),
)


def scripts(length: int) -> st.SearchStrategy[Script]:
    return st.builds(
        Script,
        make=makes,
        on_1_6=flags,
        cached_workflows=st.sampled_from([0, 100]),
        is_online=st.sampled_from([True, True, True, False]),
        fates=st.one_of(st.just(()), fates),
        first=reserves,
        steps=st.lists(steps, min_size=length // 2, max_size=length).map(tuple),
    )


class Stage:
    """One server and one event loop for all sequences."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.env: WorkflowEnvironment = self.runner.run(_start())

    def live(self, script: Script) -> None:
        """Live one sequence; raises AssertionError when something is not as it should be."""
        self.runner.run(Sequence(self.env, script).live())

    def close(self) -> None:
        self.runner.run(self.env.shutdown())
        self.runner.close()


async def _start() -> WorkflowEnvironment:
    return await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(find_temporal_cli()),
        dev_server_extra_args=SERVER,
        data_converter=pydantic_data_converter,
        search_attributes=SEARCH_ATTRIBUTES,
        ts_config=TimeSkippingConfig(max_session_skip_count=5000),
    )


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


class Sequence:
    """A reservation, and what happens to it."""

    def __init__(self, env: WorkflowEnvironment, script: Script) -> None:
        personality = load_personality(script.make)
        version = "1.6" if script.on_1_6 and "1.6" in personality.versions else personality.versions[-1]
        self.env = env
        self.script = script
        self.site = Site(env, personality, version, script.cached_workflows)
        self.last_terms: Terms | None = None

    async def live(self) -> None:
        await self.site.open()
        try:
            self.site.plan.extend(self.script.fates)
            if not self.script.is_online:
                self.site.disconnect()
            for name, *arguments in (self.script.first, *self.script.steps):
                if await self.site.is_closed() and not name.startswith("reserve"):
                    await self.take("reserve", *self.script.first[1:])
                await self.take(name, *arguments)
            await self.finish()
        finally:
            await self.site.close()

    async def take(self, name: str, *arguments: Any) -> None:
        await self.site.describe()
        await getattr(self, name)(*arguments)
        await self.check()

    # --- callers ---------------------------------------------------------------------------------------

    async def reserve(
        self, minutes: int, port: int | None, tag: str, group: bool, hold: bool, reject: bool
    ) -> None:
        # A reservation that is over leaves its site: the next run's clock starts in the present again.
        now = datetime.now(UTC) if await self.site.is_closed() else self.site.now
        self.last_terms = Terms(
            port_id=None if port is None else 10 + port,
            port_number=port,
            expires_at=now.replace(microsecond=0) + timedelta(minutes=minutes),
            id_tag=tag,
            parent_id_tag="FAMILY" if group else None,
        )
        await self.site.reserve(self.last_terms, hold=hold, reject=reject)

    async def reserve_the_same(self) -> None:
        if self.last_terms is not None and self.last_terms.expires_at > self.site.now:
            await self.site.reserve(self.last_terms)

    async def cancel(self, way: str) -> None:
        await self.site.cancel(way)

    # --- time ------------------------------------------------------------------------------------------

    async def wait(self, seconds: int) -> None:
        await self.site.skip(timedelta(seconds=seconds))

    async def wait_for_expiry(self) -> None:
        if self.last_terms is not None and self.last_terms.expires_at > self.site.now:
            await self.site.skip(self.last_terms.expires_at - self.site.now + timedelta(seconds=35))

    # --- frames ----------------------------------------------------------------------------------------

    async def plan_frames(self, fates: tuple[Fate, ...]) -> None:
        self.site.plan = deque(fates)

    async def let_the_charger_think(self) -> None:
        """Hold its answers back until the same step again, or until time is to run on."""
        if self.site.gate.is_set():
            self.site.gate.clear()
        else:
            self.site.gate.set()

    # --- the charger -----------------------------------------------------------------------------------

    async def disconnect_or_reconnect(self) -> None:
        if self.site.is_online:
            self.site.disconnect()
        else:
            self.site.reconnect()

    async def reboot(self) -> None:
        self.site.disconnect()
        self.site.reconnect(rebooted=True)

    async def charge(self, port_number: int, driver: str) -> None:
        self.site.charge(port_number, driver)

    async def leave(self, port_number: int) -> None:
        self.site.leave(port_number)

    async def break_or_mend(self, port_number: int) -> None:
        self.site.fault(port_number)

    async def reserve_for_other(self, port_number: int) -> None:
        self.site.reserve_for_other(port_number)

    # --- the house -------------------------------------------------------------------------------------

    async def repeat_last_event(self) -> None:
        self.site.repeat_last_event()

    async def restart_worker(self) -> None:
        if self.site.gate.is_set():
            await self.site.restart_worker()

    # --- what must be so -------------------------------------------------------------------------------

    async def check(self) -> None:
        site = self.site
        is_closed = await site.quiet()
        assert not site.overlaps
        snapshot = await self.snapshot(is_closed)
        self.check_timeline(snapshot)
        due = [call.answer for call in site.calls if is_closed or site.now - call.at > LATEST_ANSWER]
        if due:  # answered there; the client hears of it in a moment
            await asyncio.wait(due, timeout=20)
        for call in site.calls:
            self.check_call(call)
        if not site.personality.holds_reservations:
            return
        if is_closed:
            self.check_end(snapshot)
        elif site.is_online and site.gate.is_set() and not site.plan:
            self.check_life(snapshot)

    async def snapshot(self, is_closed: bool) -> Snapshot:
        handle = self.site.handle
        return await (handle.result() if is_closed else handle.query(ReservationWorkflow.snapshot))

    def check_timeline(self, snapshot: Snapshot) -> None:
        states = [entry.event for entry in snapshot.timeline if entry.event in set(ReservationState)]
        for before, after in pairwise(ReservationState(state) for state in states):
            late_use = before is ReservationState.EXPIRED and after is ReservationState.USED
            if before.is_end and not late_use:
                assert after is ReservationState.REQUESTED, f"{before} and then {after}"

    def check_call(self, call: Call) -> None:
        if not call.answer.done():
            waited = self.site.now - call.at
            assert waited <= LATEST_ANSWER, f"no answer after {waited}"
            return
        if call.is_checked:
            return
        call.is_checked = True
        answer = call.answer.result()
        if answer.status == "Pending" or not self.site.personality.holds_reservations:
            return
        if isinstance(answer, ReserveAnswer):
            self.check_reserve_answer(call, answer)
        else:
            self.check_cancel_answer(call, answer)

    def check_reserve_answer(self, call: Call, answer: ReserveAnswer) -> None:
        site = self.site
        held = site.told[call.told_from :]
        may_not_know = call.was_lost or site.lost
        if answer.holds is not None and not may_not_know:
            assert any(site.is_as_agreed(one, answer.holds) for one in held), f"it never held that: {answer}"
        assert call.terms is not None
        if answer.status is not ReserveStatus.ACCEPTED:
            assert answer.status is ReserveStatus.REJECTED or answer.status in site.said, answer
        elif answer.state is not ReservationState.USED and not may_not_know:
            assert any(site.is_as_agreed(one, call.terms) for one in held), f"never accepted: {answer}"

    def check_cancel_answer(self, call: Call, answer: CancelAnswer) -> None:
        # Expired, it is over whatever the charger still holds: the API asks the charger then.
        over = {ReservationState.EXPIRED, ReservationState.FAILED, ReservationState.USED}
        if answer.state not in over:
            assert () in self.site.told[call.told_from :], f"it held on all the time: {answer}"

    def check_end(self, snapshot: Snapshot) -> None:
        """The charger holds nothing of a reservation that is over."""
        site, p = self.site, self.site.personality
        assert snapshot.state.is_end
        # A use that some makes do not take for one: by the group, or elsewhere than they reserved unasked.
        is_generous = p.group_tag == "starts_without_id" or p.whole_charger == "first_port"
        left_standing = (
            snapshot.state is ReservationState.FAILED
            or (snapshot.state is ReservationState.USED and is_generous)
            or (snapshot.state is ReservationState.EXPIRED and self.ends_by_itself(snapshot.terms))
        )
        assert left_standing or not site.ours, f"{snapshot.state}, and the charger holds {site.ours}"

    def ends_by_itself(self, terms: Terms | None) -> bool:
        """Whether what is left at the charger ends at its next look at the clock, or does not show."""
        site = self.site
        is_over = all(held.expires_at <= site.now for held in site.ours)
        port_number = None if terms is None else terms.port_number
        hidden = port_number is None or site.shown[port_number] != "Reserved"
        return is_over and (hidden or site.table.next_expiry() is not None)

    def check_life(self, snapshot: Snapshot) -> None:
        """While nothing was done to it for a while, workflow and charger agree."""
        site = self.site
        calm = site.now - max(site.calm_since, site.online_since)
        if calm > DOUBTS_OVER:
            lively = {ReservationState.ACTIVE} | {state for state in ReservationState if state.is_end}
            assert snapshot.state in lively, f"still {snapshot.state} after {calm}"
        if snapshot.terms is None or snapshot.state is not ReservationState.ACTIVE:
            return
        terms = snapshot.terms
        if calm <= SETTLED or terms.expires_at <= site.now or self.cannot_know(terms):
            return
        assert site.is_as_agreed(site.ours, terms), f"active, and the charger holds {site.ours}"

    def cannot_know(self, terms: Terms) -> bool:
        """Whether the charger dropped the reservation with nothing to show for it."""
        site = self.site
        if not site.lost:
            return False
        return terms.port_number is None or site.shown[terms.port_number] not in ("Available", "Reserved")

    # --- the end of the sequence -------------------------------------------------------------------

    async def finish(self) -> None:
        """Let everything come right, and time run out."""
        site = self.site
        site.gate.set()
        site.plan.clear()
        await site.describe()
        if not site.is_online:
            site.reconnect()
        for _ in range(40):
            await self.check()
            if await site.is_closed():
                break
            await site.skip(timedelta(minutes=20))
        assert await site.is_closed(), "it never ended"
        assert all(call.answer.done() for call in site.calls)
        await self.check_announcements()
        await self.check_histories()

    async def check_announcements(self) -> None:
        """Webhooks were told of the end, and no id stands for two events."""
        announced, end = self.site.announced, await self.site.handle.result()
        assert f"reservation.{end.state}" in [one.type for one in announced]
        types_of: dict[str, set[str]] = {}
        for one in announced:
            types_of.setdefault(one.event_id, set()).add(one.type)
        assert all(len(types) == 1 for types in types_of.values()), types_of

    async def check_histories(self) -> None:
        """No workflow task failed, and every run replays."""
        histories: dict[str, WorkflowHistory] = {}
        runs = set(self.site.runs)
        while runs:
            run_id = runs.pop()
            handle = self.env.client.get_workflow_handle(self.site.workflow_id, run_id=run_id)
            histories[run_id] = history = await handle.fetch_history()
            before = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
            runs |= {before} - {""} - histories.keys()
        replayer = Replayer(
            workflows=WORKFLOWS,
            data_converter=pydantic_data_converter,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        for history in histories.values():
            for event in history.events:
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                    failed = event.workflow_task_failed_event_attributes
                    assert failed.cause in NORMAL_FAILURES, failed
            await replayer.replay_workflow(history)


@pytest.mark.timeout(0)
def test_what_a_reservation_says_is_so(stage: Stage) -> None:
    is_chaos = settings.get_current_profile_name() == "chaos"
    chosen, length = (settings.get_profile("chaos"), 25) if is_chaos else (FIXED, 15)

    @chosen
    @given(script=scripts(length))
    def live(script: Script) -> None:
        stage.live(script)

    live()

"""Events on their way to a receiver: real Temporal, real database, real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from berth.database import Database, Delivery, DueDelivery, OutboxEvent, migrate_async
from berth.database.database import connect
from berth.database.tables import webhook_deliveries
from tests.database.time_passes import age
from tests.receiver import Receiver
from webhooks.dispatcher import Dispatcher
from webhooks.outbox import WebhookOutbox
from webhooks.sender import Sender
from worker import build_webhook_worker
from workflows.names import webhook_delivery_workflow_id
from workflows.webhook_delivery import DeliveryRound, DeliveryStart, WebhookDeliveryWorkflow


class Post:
    """A database with one webhook, and a worker that delivers to it."""

    def __init__(self, env: WorkflowEnvironment, database: Database, url: str) -> None:
        self.env = env
        self.url = url
        self.database = database
        self.queue = f"webhooks-{uuid4().hex[:8]}"
        self.dispatcher = Dispatcher(database, env.client, self.queue)
        self.key_id = 0

    async def point_at(self, url: str) -> int:
        _, key = await self.database.keys.create("app", ["read"])
        self.key_id = key.id
        return (await self.database.webhooks.add(key.id, url, "whsec_1")).id

    async def announce(self, *names: str) -> None:
        outbox = WebhookOutbox(self.database)
        await outbox.enqueue(
            [
                OutboxEvent(name, "reservation.used", 1, None, f'{{"id":"{name}","type":"x"}}')
                for name in names
            ]
        )

    def handle(self, first: DueDelivery) -> WorkflowHandle[Any, Any]:
        """The workflow of the batch that begins with this one."""
        workflow_id = webhook_delivery_workflow_id(first.webhook_id, first.id, first.round)
        return self.env.client.get_workflow_handle(workflow_id)

    async def lose_track(self) -> None:
        """What was started is due again, as if nobody had said so."""
        connections = connect(make_url(self.url))
        await age(connections, webhook_deliveries.c.start_at, timedelta(hours=26))
        await connections.close()

    async def only(self, webhook_id: int) -> Delivery:
        (delivery,) = await self.database.deliveries.of_webhook(webhook_id, state=None, limit=10)
        return delivery

    async def until(self, webhook_id: int, state: str, count: int = 1, within: float = 60) -> list[Delivery]:
        async with asyncio.timeout(within):
            while True:
                all_there_are = await self.database.deliveries.of_webhook(webhook_id, state=None, limit=200)
                if sum(one.state == state for one in all_there_are) == count:
                    return all_there_are
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.dispatcher.run(every=0.5))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def answer_within() -> float:
    """Seconds a receiver has; only a test of one that hangs has reason to give it few."""
    return 60


@pytest.fixture
async def post(env: WorkflowEnvironment, tmp_path: Path, answer_within: float) -> AsyncIterator[Post]:
    url = f"sqlite+aiosqlite:///{tmp_path}/berth.db"
    await migrate_async(url)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(url))
        post = Post(env, database, url)
        sender = Sender(allow_private=True, timeout=answer_within)
        await stack.enter_async_context(build_webhook_worker(env.client, database, sender, post.queue))
        yield post


async def test_a_receiver_that_is_down_for_a_day_is_given_up_and_a_replay_brings_the_same_event(
    post: Post, free_port: int
) -> None:
    webhook_id = await post.point_at(f"http://127.0.0.1:{free_port}/")
    await post.announce("e-1")
    (due,) = await post.dispatcher.start_due()
    await post.env.fast_forward(post.handle(due))
    assert await post.handle(due).result() == "1 given up"
    given_up = await post.only(webhook_id)
    assert (given_up.state, given_up.last_error) == ("given_up", "no connection")
    assert given_up.attempts > 100

    async with Receiver(port=free_port) as receiver:
        assert await post.database.deliveries.replay(webhook_id, given_up.id) is not None
        (again,) = await post.dispatcher.start_due()
        assert (again.id, again.round) == (due.id, 1)
        assert await post.handle(again).result() == "1 delivered"
        (call,) = receiver.received
    assert call.headers["berth-event-id"] == "e-1" == given_up.event_id
    assert (await post.only(webhook_id)).state == "delivered"


async def test_a_receiver_that_is_back_after_hours_gets_it_once(post: Post) -> None:
    async with Receiver(status=500) as receiver:
        receiver.script.extend([500] * 20)
        receiver.status = 200
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1")
        (due,) = await post.dispatcher.start_due()
        await post.env.fast_forward(post.handle(due))
        assert await post.handle(due).result() == "1 delivered"
        assert len(receiver.received) == 21
        assert {call.headers["berth-event-id"] for call in receiver.received} == {"e-1"}
    delivered = await post.only(webhook_id)
    assert (delivered.attempts, delivered.last_status, delivered.last_error) == (21, 200, None)


async def test_events_of_one_moment_go_in_order_with_one_workflow_for_each_webhook(post: Post) -> None:
    async with Receiver() as one, Receiver() as another:
        first, second = await post.point_at(one.url), await post.point_at(another.url)
        names = [f"e-{n}" for n in range(25)]
        await post.announce(*names)
        due = await post.dispatcher.start_due()
        for webhook_id, receiver in ((first, one), (second, another)):
            batch = [delivery for delivery in due if delivery.webhook_id == webhook_id]
            assert await post.handle(batch[0]).result() == "20 delivered"
            assert await post.handle(batch[20]).result() == "5 delivered"
            told = [call.headers["berth-event-id"] for call in receiver.received]
            assert [name for name in told if name in names[:20]] == names[:20]
            assert [name for name in told if name in names[20:]] == names[20:]
            described = await post.handle(batch[0]).describe()
            assert await described.static_summary() == f"20 events to webhook {webhook_id}"


async def test_an_event_that_a_receiver_cannot_take_keeps_no_other_from_it(post: Post) -> None:
    async with Receiver(answers={"e-2": 500}) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1", "e-2", "e-3")
        first, *_ = await post.dispatcher.start_due()
        await post.env.fast_forward(post.handle(first))
        assert await post.handle(first).result() == "2 delivered, 1 given up"
        told = [call.headers["berth-event-id"] for call in receiver.received]
    assert told[:4] == ["e-1", "e-2", "e-3", "e-2"]
    assert [told.count("e-1"), told.count("e-3")] == [1, 1]
    e3, e2, e1 = await post.database.deliveries.of_webhook(webhook_id, state=None, limit=10)
    assert [e1.attempts, e2.attempts, e3.attempts] == [1, told.count("e-2"), 1]
    assert (e2.state, e2.last_error) == ("given_up", "HTTP 500")
    assert e2.attempts > 100


@pytest.mark.parametrize("answer_within", [3])
async def test_an_event_on_which_a_receiver_hangs_keeps_the_others_waiting_for_one_attempt(
    post: Post,
) -> None:
    async with Receiver(answers={"e-1": None}) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1", "e-2", "e-3")
        await post.dispatcher.start_due()
        await post.until(webhook_id, "delivered", 2)
        receiver.answers.clear()
        await post.until(webhook_id, "delivered", 3)
        told = [call.headers["berth-event-id"] for call in receiver.received]
        assert told[:4] == ["e-1", "e-2", "e-3", "e-1"]
        assert [told.count("e-2"), told.count("e-3")] == [1, 1]


@pytest.mark.parametrize("answer_within", [1])
async def test_a_dead_receiver_is_called_once_for_a_whole_batch(post: Post) -> None:
    async with Receiver(hangs=True) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce(*(f"e-{n}" for n in range(10)))
        batch = [DeliveryRound(id=one.id) for one in await post.database.deliveries.due()]
        ended = await post.env.client.execute_workflow(
            WebhookDeliveryWorkflow.run,
            DeliveryStart(deliveries=batch, patience=timedelta(seconds=10)),
            id=f"{post.queue}-impatient",
            task_queue=post.queue,
        )
        assert ended == "10 given up"
        calls = receiver.connections
    assert 2 <= calls <= 4, "at once, and 2, 4 seconds after the one before"
    deliveries = await post.database.deliveries.of_webhook(webhook_id, state="given_up", limit=10)
    assert sum(one.attempts for one in deliveries) == calls
    assert max(one.attempts for one in deliveries) == 1, "each time another one"


async def test_410_ends_it_at_once(post: Post) -> None:
    async with Receiver(status=410) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1")
        (due,) = await post.dispatcher.start_due()
        assert await post.handle(due).result() == "1 given up"
        assert len(receiver.received) == 1
    assert "410" in ((await post.only(webhook_id)).last_error or "")


async def test_nothing_is_sent_for_a_revoked_key_or_to_a_removed_webhook(post: Post) -> None:
    async with Receiver() as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1", "e-2")
        await post.database.keys.revoke(post.key_id)
        first, _ = await post.dispatcher.start_due()
        assert await post.handle(first).result() == "2 given up"
        (revoked, _) = await post.until(webhook_id, "given_up", 2)
        assert "revoked" in (revoked.last_error or "")

        gone_id = await post.point_at(receiver.url)
        await post.announce("e-3")
        (due,) = await post.database.deliveries.due()
        assert due.webhook_id == gone_id
        await post.database.webhooks.remove(gone_id)
        client, queue = post.env.client, post.queue
        start = DeliveryStart(deliveries=[DeliveryRound(id=due.id)])
        ended = await client.execute_workflow(
            WebhookDeliveryWorkflow.run, start, id=f"{queue}-gone", task_queue=queue
        )
        assert ended == "1 removed"
        assert receiver.received == []


async def test_what_nobody_started_is_found_and_several_workers_send_it_once(post: Post) -> None:
    names = sorted(f"e-{n}" for n in range(150))
    async with Receiver() as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce(*names)  # and then its process dies
        others = [Dispatcher(post.database, post.env.client, post.queue) for _ in range(2)]
        started = await asyncio.gather(*(one.start_due() for one in others))
        assert sorted(map(len, started)) == [50, 100]
        async with post.dispatching():
            await post.until(webhook_id, "delivered", len(names))
        assert sorted(call.headers["berth-event-id"] for call in receiver.received) == names


async def test_a_worker_that_stops_ends_the_event_in_hand_and_leaves_the_others_to_another(
    post: Post,
) -> None:
    client, queue, sender = post.env.client, f"{post.queue}-stops", Sender(allow_private=True, timeout=5)
    async with Receiver(hangs=True) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1", "e-2", "e-3")
        async with build_webhook_worker(client, post.database, sender, queue):
            await Dispatcher(post.database, client, queue).start_due()
            await receiver.until(1)
            asyncio.get_running_loop().call_later(0.3, setattr, receiver, "hangs", False)
        assert len(receiver.received) == 1
        async with build_webhook_worker(client, post.database, sender, queue):
            await post.until(webhook_id, "delivered", 3)
        told = [call.headers["berth-event-id"] for call in receiver.received]
        assert sorted(told) == ["e-1", "e-2", "e-3"]


async def test_a_batch_that_nobody_said_was_started_takes_no_newer_event_along(post: Post) -> None:
    async with Receiver(answers={"e-1": 500}) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1")
        (e1,) = await post.dispatcher.start_due()
        await post.lose_track()
        await post.announce("e-2")
        assert [one.id for one in await post.dispatcher.start_due()] == [e1.id, e1.id + 1]
        await post.until(webhook_id, "delivered")
        receiver.answers.clear()
        assert await post.handle(e1).result() == "1 delivered"
        assert [call.headers["berth-event-id"] for call in receiver.received].count("e-2") == 1


async def test_a_cancelled_delivery_is_given_up(post: Post, free_port: int) -> None:
    webhook_id = await post.point_at(f"http://127.0.0.1:{free_port}/")
    with post.env.with_time_skipping_disabled():
        await post.announce("e-1", "e-2")
        first, _ = await post.dispatcher.start_due()
    await post.handle(first).cancel()
    assert await post.handle(first).result() == "2 given up"
    assert {one.state for one in await post.until(webhook_id, "given_up", 2)} == {"given_up"}


@pytest.mark.parametrize("answer_within", [1])
async def test_a_receiver_that_hangs_does_not_keep_the_others_waiting(post: Post) -> None:
    async with Receiver(hangs=True) as dead, Receiver() as other:
        with post.env.with_time_skipping_disabled():
            await post.point_at(dead.url)
            for n in range(40):  # each a batch: more than there are places for all
                await post.announce(f"e-{n}")
                await post.dispatcher.start_due()
            await dead.until(1)
            webhook_id = await post.point_at(other.url)
            await post.announce("e-last")
            async with post.dispatching():
                await post.until(webhook_id, "delivered", within=20)
            assert other.received[0].event["id"] == "e-last"
            # The ones that are under way and their successors, never all at once.
            assert len(dead.received) < 40
            dead.hangs = False


async def test_temporal_is_told_the_number_of_the_row_and_no_more(post: Post) -> None:
    async with Receiver() as receiver:
        await post.point_at(receiver.url)
        await post.announce("secret-event")
        (due,) = await post.dispatcher.start_due()
        await post.handle(due).result()
        history = (await post.handle(due).fetch_history()).to_json()
    for word in ("whsec_1", "secret-event", "127.0.0.1:", "token"):
        assert word not in history

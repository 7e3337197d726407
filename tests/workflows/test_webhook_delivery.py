"""An event on its way to a receiver: real Temporal, real directory, real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.announcing import Announcer
from activities.charger_presence import ChargerPresence
from activities.dispatcher import Dispatcher
from directory import Announced, Delivery, Directory, migrate_async
from tests.receiver import Receiver
from webhooks.sender import Sender
from worker import build_webhook_worker
from workflows.names import webhook_delivery_workflow_id
from workflows.webhook_delivery import DeliveryStart, WebhookDeliveryWorkflow


class Post:
    """A directory with one webhook, and a worker that delivers to it."""

    def __init__(self, env: WorkflowEnvironment, directory: Directory) -> None:
        self.env = env
        self.directory = directory
        self.queue = f"webhooks-{uuid4().hex[:8]}"
        self.dispatcher = Dispatcher(directory, env.client, self.queue)
        self.key_id = 0

    async def point_at(self, url: str) -> int:
        _, key = await self.directory.keys.create("app", ["read"])
        self.key_id = key.id
        return (await self.directory.webhooks.add(key.id, url, "whsec_1")).id

    async def announce(self, *names: str) -> None:
        announcer = Announcer(self.directory)
        await announcer.tell(
            [Announced(name, "reservation.used", 1, None, f'{{"id":"{name}","type":"x"}}') for name in names]
        )

    def handle(self, delivery_id: int, its_round: int = 0) -> WorkflowHandle[Any, Any]:
        return self.env.client.get_workflow_handle(webhook_delivery_workflow_id(delivery_id, its_round))

    async def only(self, webhook_id: int) -> Delivery:
        (delivery,) = await self.directory.deliveries.of_webhook(webhook_id, state=None, limit=10)
        return delivery

    async def until(self, webhook_id: int, state: str, count: int = 1, within: float = 60) -> list[Delivery]:
        async with asyncio.timeout(within):
            while True:
                all_there_are = await self.directory.deliveries.of_webhook(webhook_id, state=None, limit=100)
                if sum(one.state == state for one in all_there_are) == count:
                    return all_there_are
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        presence = ChargerPresence(self.directory, Announcer(self.directory))
        task = asyncio.create_task(self.dispatcher.run(presence, every=0.5))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def post(env: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Post]:
    url = f"sqlite+aiosqlite:///{tmp_path}/berth.db"
    await migrate_async(url)
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(await Directory.open(url))
        post = Post(env, directory)
        sender = Sender(allow_private=True, timeout=1)
        await stack.enter_async_context(build_webhook_worker(env.client, directory, sender, post.queue))
        yield post


async def test_a_receiver_that_is_down_for_a_day_is_given_up_and_a_replay_brings_the_same_event(
    post: Post, free_port: int
) -> None:
    webhook_id = await post.point_at(f"http://127.0.0.1:{free_port}/")
    await post.announce("e-1")
    (due,) = await post.dispatcher.start_due()
    await post.env.fast_forward(post.handle(due.id))
    assert await post.handle(due.id).result() == "given_up"
    given_up = await post.only(webhook_id)
    assert (given_up.state, given_up.last_error) == ("given_up", "no connection")
    assert given_up.attempts > 100

    async with Receiver(port=free_port) as receiver:
        assert await post.directory.deliveries.replay(webhook_id, given_up.id) is not None
        await post.dispatcher.start_due()
        assert await post.handle(due.id, 1).result() == "delivered"
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
        await post.env.fast_forward(post.handle(due.id))
        assert await post.handle(due.id).result() == "delivered"
        assert len(receiver.received) == 21
        assert {call.headers["berth-event-id"] for call in receiver.received} == {"e-1"}
    delivered = await post.only(webhook_id)
    assert (delivered.attempts, delivered.last_status, delivered.last_error) == (21, 200, None)


async def test_410_ends_it_at_once(post: Post) -> None:
    async with Receiver(status=410) as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1")
        (due,) = await post.dispatcher.start_due()
        assert await post.handle(due.id).result() == "given_up"
        assert len(receiver.received) == 1
    assert "410" in ((await post.only(webhook_id)).last_error or "")


async def test_nothing_is_sent_for_a_revoked_key_or_to_a_removed_webhook(post: Post) -> None:
    async with Receiver() as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1", "e-2")
        await post.directory.keys.revoke(post.key_id)
        first, second = await post.dispatcher.start_due()
        for due in (first, second):
            assert await post.handle(due.id).result() == "given_up"
        (revoked, _) = await post.until(webhook_id, "given_up", 2)
        assert "revoked" in (revoked.last_error or "")

        gone_id = await post.point_at(receiver.url)
        await post.announce("e-3")
        due = (await post.directory.deliveries.due())[0]
        assert due.webhook_id == gone_id
        await post.directory.webhooks.remove(gone_id)
        client, queue = post.env.client, post.queue
        start = DeliveryStart(delivery_id=due.id)
        ended = await client.execute_workflow(
            WebhookDeliveryWorkflow.run, start, id=f"{queue}-gone", task_queue=queue
        )
        assert ended == "removed"
        assert receiver.received == []


async def test_what_nobody_started_is_found_and_several_workers_send_it_once(post: Post) -> None:
    async with Receiver() as receiver:
        webhook_id = await post.point_at(receiver.url)
        await post.announce("e-1", "e-2")  # and then its process dies
        others = [Dispatcher(post.directory, post.env.client, post.queue) for _ in range(2)]
        await asyncio.gather(*(one.start_due() for one in others))
        async with post.dispatching():
            await post.until(webhook_id, "delivered", 2)
        assert sorted(call.headers["berth-event-id"] for call in receiver.received) == ["e-1", "e-2"]


async def test_a_cancelled_delivery_is_given_up(post: Post, free_port: int) -> None:
    webhook_id = await post.point_at(f"http://127.0.0.1:{free_port}/")
    with post.env.with_time_skipping_disabled():
        await post.announce("e-1")
        (due,) = await post.dispatcher.start_due()
    await post.handle(due.id).cancel()
    assert await post.handle(due.id).result() == "given_up"
    assert (await post.only(webhook_id)).state == "given_up"


async def test_a_receiver_that_hangs_does_not_keep_the_others_waiting(post: Post) -> None:
    async with Receiver(hangs=True) as dead, Receiver() as other:
        with post.env.with_time_skipping_disabled():
            await post.point_at(dead.url)
            await post.announce(*(f"e-{n}" for n in range(70)))  # more than there are places for all
            await post.dispatcher.start_due()
            await dead.until(1)
            webhook_id = await post.point_at(other.url)
            await post.announce("e-last")
            async with post.dispatching():
                await post.until(webhook_id, "delivered", within=20)
            assert other.received[0].event["id"] == "e-last"
            # The ones that are under way and their successors, never all at once.
            assert len(dead.received) < 70
            dead.hangs = False


async def test_temporal_is_told_the_number_of_the_row_and_no_more(post: Post) -> None:
    async with Receiver() as receiver:
        await post.point_at(receiver.url)
        await post.announce("secret-event")
        (due,) = await post.dispatcher.start_due()
        await post.handle(due.id).result()
        history = (await post.handle(due.id).fetch_history()).to_json()
    for word in ("whsec_1", "secret-event", "127.0.0.1:", "token"):
        assert word not in history

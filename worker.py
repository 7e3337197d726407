"""The workflow worker: it runs reservations, and their looks into the directory."""

import asyncio
import signal
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from activities.route import RouteFinder
from directory import Directory
from settings import Settings
from workflows.forward_cancel import ForwardCancelWorkflow
from workflows.names import RESERVATIONS_QUEUE
from workflows.reservation import ReservationWorkflow
from workflows.sandbox import SANDBOX

log = structlog.get_logger(__name__)

WORKFLOWS = [ReservationWorkflow, ForwardCancelWorkflow]


def build_worker(client: Client, directory: Directory, task_queue: str = RESERVATIONS_QUEUE) -> Worker:
    """A worker for every workflow of Berth; tests give their own task queue."""
    finder = RouteFinder(directory)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[finder.wait_for_charger, finder.look_at_charger, finder.forget_listener],
        workflow_runner=SANDBOX,
        max_cached_workflows=2000,
        graceful_shutdown_timeout=timedelta(seconds=10),
    )


async def run(settings: Settings, client: Client, directory: Directory) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand.

    Raises whatever stops the worker for good; the process then ends with an error.
    """
    worker = build_worker(client, directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    log.info("worker_started", task_queue=RESERVATIONS_QUEUE, namespace=client.namespace)
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        await worker.shutdown()
    await working
    log.info("worker_stopped")

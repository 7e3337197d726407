"""The workflow worker: it runs reservations, and their looks into the directory."""

import asyncio
import signal
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.route import RouteFinder
from directory import Directory
from settings import Settings
from workflows.change_password import ChangePasswordWorkflow
from workflows.forward_cancel import ForwardCancelWorkflow
from workflows.names import RESERVATIONS_QUEUE, WORKER_DEPLOYMENT
from workflows.reservation import ReservationWorkflow
from workflows.sandbox import SANDBOX

log = structlog.get_logger(__name__)

WORKFLOWS = [ReservationWorkflow, ForwardCancelWorkflow, ChangePasswordWorkflow]


def deployment_config(settings: Settings) -> WorkerDeploymentConfig | None:
    """How the worker takes part in Temporal's worker deployments; None: not at all."""
    if settings.worker_build is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(WORKER_DEPLOYMENT, settings.worker_build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior[settings.worker_versioning.upper()],
    )


def build_worker(
    client: Client,
    directory: Directory,
    task_queue: str = RESERVATIONS_QUEUE,
    deployment: WorkerDeploymentConfig | None = None,
) -> Worker:
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
        deployment_config=deployment,
    )


async def run(settings: Settings, client: Client, directory: Directory) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand.

    Raises whatever stops the worker for good; the process then ends with an error.
    """
    worker = build_worker(client, directory, deployment=deployment_config(settings))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    log.info(
        "worker_started",
        task_queue=RESERVATIONS_QUEUE,
        namespace=client.namespace,
        build=settings.worker_build,
        versioning=settings.worker_versioning if settings.worker_build else None,
    )
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        await worker.shutdown()
    await working
    log.info("worker_stopped")

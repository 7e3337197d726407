"""The workflow worker: it runs reservations with their looks into the database, and sends webhooks.

Webhooks have a task queue and a worker of their own within the process: no reservation waits behind them.
"""

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.reservation_lookups import RouteFinder
from activities.webhook_delivery import WebhookDeliverer
from berth.database import Database
from berth.process import Background
from berth.settings import Settings
from webhooks.charger_presence import ChargerPresence, watch_for_losses
from webhooks.dispatcher import Dispatcher
from webhooks.outbox import WebhookOutbox
from webhooks.sender import Sender
from workflows.change_password import ChangePasswordWorkflow
from workflows.forward_cancel import ForwardCancelWorkflow
from workflows.names import RESERVATIONS_QUEUE, WEBHOOKS_QUEUE, WORKER_DEPLOYMENT
from workflows.reservation.workflow import ReservationWorkflow
from workflows.webhook_delivery import WebhookDeliveryWorkflow

log = structlog.get_logger(__name__)

WORKFLOWS = [ReservationWorkflow, ForwardCancelWorkflow, ChangePasswordWorkflow]

DELIVERIES_AT_ONCE = 100


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
    database: Database,
    task_queue: str = RESERVATIONS_QUEUE,
    deployment: WorkerDeploymentConfig | None = None,
) -> Worker:
    """A worker for every workflow but the deliveries; tests give their own task queue."""
    outbox = WebhookOutbox(database)
    finder = RouteFinder(database)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[
            finder.wait_for_charger,
            finder.look_at_charger,
            finder.unsubscribe,
            outbox.announce,
        ],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=2000,
        graceful_shutdown_timeout=timedelta(seconds=10),
        deployment_config=deployment,
    )


def build_webhook_worker(
    client: Client, database: Database, sender: Sender, task_queue: str = WEBHOOKS_QUEUE
) -> Worker:
    """A worker for the deliveries to webhooks."""
    deliverer = WebhookDeliverer(database, sender)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[WebhookDeliveryWorkflow],
        activities=[deliverer.deliver, deliverer.give_up],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=100,
        max_concurrent_workflow_tasks=10,
        max_concurrent_activities=DELIVERIES_AT_ONCE,
        graceful_shutdown_timeout=timedelta(seconds=10),
    )


class WorkerProcess:
    """Both workers and what goes on beside them, until `stop`."""

    def __init__(self, settings: Settings, client: Client, database: Database, stop: asyncio.Event) -> None:
        self._workers = (
            build_worker(client, database, deployment=deployment_config(settings)),
            build_webhook_worker(client, database, Sender(settings.webhook_private_targets)),
        )
        self._database = database
        self._dispatcher = Dispatcher(database, client)
        self._presence = ChargerPresence(database, WebhookOutbox(database))
        self._stop = stop
        self._log = log.bind(task_queue=RESERVATIONS_QUEUE, namespace=client.namespace)
        if settings.worker_build is not None:
            self._log = self._log.bind(build=settings.worker_build, versioning=settings.worker_versioning)

    @property
    def takes_work(self) -> bool:
        """Whether both workers run, and nobody has asked them to stop."""
        return not self._stop.is_set() and all(worker.is_running for worker in self._workers)

    async def run(self) -> None:
        """Work until `stop`, then finish what is in hand.

        Raises PartDied, and whatever stops a worker for good; the process then ends with an error.
        """
        working = [asyncio.create_task(worker.run()) for worker in self._workers]
        background = Background(self._stop)
        background.start("webhook dispatcher", self._dispatcher.run())
        background.start("watch for lost gateways", watch_for_losses(self._database, self._presence))
        stopping = asyncio.create_task(self._stop.wait())
        self._log.info("worker_started")
        await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await background.close()
        await asyncio.gather(
            *(
                worker.shutdown()
                for worker, work in zip(self._workers, working, strict=True)
                if not work.done()
            )
        )
        await asyncio.gather(*working)
        background.check()
        log.info("worker_stopped")

"""Who works on a task queue."""

from dataclasses import dataclass

import structlog
from temporalio.api.enums.v1 import TaskQueueType, VersionDrainageStatus, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeWorkerDeploymentRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.names import RESERVATIONS_QUEUE, WORKER_DEPLOYMENT

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class QueueWorkers:
    """The builds of a queue's workflow workers; None stands for workers without one."""

    builds: frozenset[str | None]
    """Of those that have asked for work within the last minutes."""
    current: str | None
    """Whose workers get new workflows."""


async def queue_workers(client: Client, name: str) -> QueueWorkers:
    """Ask Temporal about a queue. Raises RPCError."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=name),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    current = answer.versioning_info.current_deployment_version.build_id
    return QueueWorkers(frozenset(map(_build, answer.pollers)), current or None)


async def draining_builds(client: Client) -> frozenset[str]:
    """Builds that are not current any more and have reservations still, as far as Temporal knows yet.

    Raises RPCError.
    """
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=WORKER_DEPLOYMENT)
    try:
        answer = await client.workflow_service.describe_worker_deployment(request)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:  # no worker ever had a build
            return frozenset()
        raise
    draining = VersionDrainageStatus.VERSION_DRAINAGE_STATUS_DRAINING
    summaries = answer.worker_deployment_info.version_summaries
    return frozenset(
        each.deployment_version.build_id for each in summaries if each.drainage_status == draining
    )


async def has_pollers(client: Client, name: str) -> bool:
    """Whether a workflow worker has asked this queue for work within the last minutes. Raises RPCError."""
    return bool((await queue_workers(client, name)).builds)


def promotion(build: str | None) -> str:
    """The command that gives new reservations to the workers of a build."""
    target = "--unversioned" if build is None else f"--build-id {build}"
    return f"temporal worker deployment set-current-version --deployment-name {WORKER_DEPLOYMENT} {target}"


async def warn_unless_current(client: Client, build: str) -> None:
    """Say in the log that workers of this build get no new reservations yet, when it is so."""
    try:
        current = (await queue_workers(client, RESERVATIONS_QUEUE)).current
    except RPCError as error:
        log.warning("worker_build_not_looked_up", build=build, error=str(error))
        return
    if current != build:
        log.warning("worker_build_not_current", build=build, current=current, remedy=promotion(build))


def _build(poller: PollerInfo) -> str | None:
    options = poller.deployment_options
    is_versioned = options.worker_versioning_mode == WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    return options.build_id if is_versioned else None

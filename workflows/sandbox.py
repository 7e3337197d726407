"""How the worker runs workflows: in the SDK's sandbox, less what it would do for every payload in vain."""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker._command_aware_visitor import CommandInfo
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info


class _WithoutContexts(WorkflowInstance):
    """A sandboxed workflow that is not asked about its payloads.

    Three times for each payload the SDK enters the sandbox to ask in which context to encode it: a quarter of
    the worker's time, measured. Berth's converter and codec treat all payloads alike.
    """

    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: CommandInfo | None) -> SerializationContext | None:
        return None

    def get_external_store_context(self, command_info: CommandInfo | None) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()


class _Sandbox(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _WithoutContexts(super().create_instance(det))


# Our own modules hold no state: passing them through spares each run importing them anew. Traces are told of
# by the interceptors outside.
SANDBOX = _Sandbox(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows", "opentelemetry")
)

"""What Berth needs of a Temporal namespace: its search attributes, and histories kept long enough."""

from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeIndexedValueType
from temporalio.service import RPCError, RPCStatusCode

from berth.errors import StartError
from workflows.names import SEARCH_ATTRIBUTES

RETENTION = timedelta(days=30)
"""How long the embedded server keeps a finished reservation's history; its own default is one day."""

_CLI_TYPES = {
    SearchAttributeIndexedValueType.INT: "Int",
    SearchAttributeIndexedValueType.KEYWORD: "Keyword",
    SearchAttributeIndexedValueType.DATETIME: "Datetime",
}


def search_attribute_types() -> dict[str, str]:
    """Name → type of every search attribute, in the words of Temporal's own tools."""
    return {key.name: _CLI_TYPES[key.indexed_value_type] for key in SEARCH_ATTRIBUTES}


async def missing_search_attributes(client: Client) -> list[str]:
    """The names of those this namespace does not have yet.

    Raises RPCError as the server gave it; StartError when one exists with another type.
    """
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    existing = dict(answer.custom_attributes)
    for key in SEARCH_ATTRIBUTES:
        wanted = IndexedValueType.ValueType(key.indexed_value_type)
        if existing.get(key.name, wanted) != wanted:
            raise StartError(
                f"TEMPORAL_NAMESPACE: search attribute {key.name} of namespace {client.namespace} is not of "
                f"type {_CLI_TYPES[key.indexed_value_type]}; use a namespace of Berth's own"
            )
    return [key.name for key in SEARCH_ATTRIBUTES if key.name not in existing]


async def ensure_search_attributes(client: Client) -> list[str]:
    """Add the search attributes that the namespace lacks; returns their names.

    Raises StartError, with the commands that add them by hand, when Berth may not do it.
    """
    missing: list[str] = []
    try:
        missing = await missing_search_attributes(client)
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace,
                    search_attributes={
                        key.name: IndexedValueType.ValueType(key.indexed_value_type)
                        for key in SEARCH_ATTRIBUTES
                        if key.name in missing
                    },
                )
            )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:  # another process was quicker
            return []
        types = search_attribute_types()
        flags = " ".join(f"--name {name} --type {types[name]}" for name in missing or types)
        raise StartError(
            f"TEMPORAL_NAMESPACE: cannot see to the search attributes of {client.namespace} "
            f"({error.message}); have an administrator add: {flags}"
        ) from error
    return missing


async def keep_histories(client: Client, retention: timedelta = RETENTION) -> None:
    """Set how long the namespace keeps closed workflows: the embedded server's only, elsewhere it is policy.

    Raises RPCError.
    """
    config = NamespaceConfig()
    config.workflow_execution_retention_ttl.FromTimedelta(retention)
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(namespace=client.namespace, config=config)
    )

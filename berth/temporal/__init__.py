"""How the processes reach Temporal: client, encryption, namespace, task queues, the SDK's runtime."""

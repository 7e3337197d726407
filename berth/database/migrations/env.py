"""Run by Alembic, on the connection and in the transaction of `directory.schema`."""

from alembic import context

from directory.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()

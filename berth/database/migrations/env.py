"""Run by Alembic, on the connection and in the transaction of `berth.database.schema`."""

from alembic import context

from berth.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()

"""What Alembic runs to migrate: on the connection, and in the transaction, that it is handed."""

from alembic import context

from relay.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite alters a table by rebuilding it.
    render_as_batch=True,
)
context.run_migrations()

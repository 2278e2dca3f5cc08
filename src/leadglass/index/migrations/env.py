"""What Alembic runs: migrations on the connection that `leadglass.index.migration` hands in."""

from alembic import context

from leadglass.index.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller has begun the transaction
)
context.run_migrations()

"""What Alembic runs: migrations on the connection that :mod:`kautopsy.fleet.migrate` hands in."""

from alembic import context

from kautopsy.fleet.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter a column: the table is made anew and copied.
    render_as_batch=True,
    compare_type=True,
    transactional_ddl=False,
)
context.run_migrations()

"""Alembic's entry: runs migrations on the connection that ``database.migrate`` hands over.

Here: nothing but that. Not here: addresses of databases or a way to run without the platform.
"""

from alembic import context

from als_assets.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()

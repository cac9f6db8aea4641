"""Alembic's entry: runs the revisions on the connection that `db.schema` hands over, in its transaction."""

import duckdb_sqlalchemy.alembic_impl  # noqa: F401  (teaches Alembic the dialect)
from alembic import context

from db.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()

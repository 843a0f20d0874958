"""Run by Alembic; ``storage.database.migrate`` hands over an open connection."""

from __future__ import annotations

from alembic import context

from storage.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()

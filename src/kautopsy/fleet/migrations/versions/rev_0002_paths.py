"""Find a log again by its path, and a host's dumps among its crashes, without reading all rows.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"

_DUMPED = text("origin <> 'log'")


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("ix_source_path", "source", ["path"])
    op.create_index(
        "ix_crash_dumped",
        "crash",
        ["host_id"],
        sqlite_where=_DUMPED,
        postgresql_where=_DUMPED,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_crash_dumped", "crash")
    op.drop_index("ix_source_path", "source")

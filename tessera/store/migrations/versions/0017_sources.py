"""Reward: what came of a transfer is not listed by its source.

Revision ID: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Hundreds of thousands of lots end in a night; nobody looks for that under what gave them.
    named = sa.text("source_type <> 'transfer'")
    op.drop_index("transfer_by_source", "transfer")
    op.create_index(
        "transfer_by_source",
        "transfer",
        ["source_id", "programme"],
        sqlite_where=named,
        postgresql_where=named,
    )

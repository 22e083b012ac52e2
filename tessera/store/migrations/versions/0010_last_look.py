"""Sending: a household's messages are looked for once more at the last moment.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    there = sa.text("household_id is not null")
    op.create_index(
        "outbox_by_household",
        "outbox",
        ["household_id", "send_at"],
        sqlite_where=there,
        postgresql_where=there,
    )

"""Decide: the reward that goes with a message.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Written with its message, in one transaction. Whether it counts is its message's fate: a
    # cancelled or rejected message has given nothing.
    op.create_table(
        "reward_grant",
        sa.Column("send_key", sa.Text, primary_key=True),
        sa.Column("reward", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False, unique=True),
    )

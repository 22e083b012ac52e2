"""Tills: when a card's change was heard of, beside when it happened, and cards that the shop's books blocked.

Revision ID: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("card", sa.Column("noted_at", sa.Text, nullable=False, server_default=""))
    op.add_column("card", sa.Column("is_blocked", sa.Integer, nullable=False, server_default="0"))
    op.execute("update card set noted_at = changed_at")
    op.drop_index("card_by_time", "card")
    op.create_index("card_by_time", "card", ["noted_at"])

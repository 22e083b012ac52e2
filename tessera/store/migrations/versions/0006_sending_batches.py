"""Sending in batches: campaigns on hold, the pace of sending, and a provider's own batches.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "provider_request", sa.Column("messages", sa.Integer, nullable=False, server_default="0")
    )
    op.create_table(
        "campaign_hold",
        sa.Column("campaign", sa.Text, primary_key=True),
        sa.Column("since", sa.Text, nullable=False),
    )
    op.create_table(
        "pace",
        sa.Column("messenger", sa.Text, primary_key=True),
        # before this instant (seconds since 1970, in milliseconds) nothing more may leave
        sa.Column("free_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "domain_day",
        sa.Column("domain_hash", sa.Text, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("domain_hash", "day"),
    )
    op.create_table(
        "provider_batch",
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("messenger", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("campaign", "business_date", "messenger"),
    )

"""Decide: what a message was tagged with, and the campaigns that journeys began under.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Snapshots: a campaign that is tagged anew does not change what went out before.
    op.add_column("outbox", sa.Column("tags", sa.Text, nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("variant", sa.Text, nullable=False, server_default=""))
    op.create_index("outbox_by_campaign", "outbox", ["campaign", "business_date"])
    op.create_table(
        "campaign_version",
        sa.Column("campaign", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),  # the campaign as JSON
        sa.Column("first_used_at", sa.Text, nullable=False),
    )

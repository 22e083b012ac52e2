"""Customers who were said to be two people.

Revision ID: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        # Two customers who are not one person, whatever the register looks like: nobody is asked
        # again. The first is the one whose id sorts first.
        "person_apart",
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("into_customer_id", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "into_customer_id"),
    )

"""Reward: when a lot's end was last moved, so that a day exports what it changed, and up to where days were; who
lives with whom.

Revision ID: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEXES = (
    "create index lot_redated on lot (redated_on) where redated_on is not null",
    # Days on which lots paid or were given back to; the millions that only give are not in it.
    "create index transfer_moving on transfer (business_date) "
    "where kind not in ('earn', 'grant', 'owe', 'activate')",
    "create index tier_move_by_date on tier_move (business_date)",
    "create index member_by_household on member (household_id) where household_id is not null",
)


def upgrade() -> None:
    op.add_column("lot", sa.Column("redated_on", sa.Text))  # business date; null: as it was given
    op.add_column("member", sa.Column("household_id", sa.Text))
    op.create_table(
        # Up to which transfer days were exported: a night that is run again may post to one of them.
        "ledger_export",
        sa.Column("what", sa.Text, primary_key=True),
        sa.Column("through_id", sa.BigInteger, nullable=False),
    )
    for statement in INDEXES:
        op.execute(statement)

"""Reward: what a transfer was reckoned on, and how far the receipts were looked through.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The money, in minor units, that the points of this transfer were reckoned on: a receipt is
    # judged again when it was corrected, not when a rule was.
    op.add_column("transfer", sa.Column("basis", sa.BigInteger))
    op.add_column("transfer", sa.Column("source_line", sa.Text))
    op.create_index("transfer_by_source", "transfer", ["source_id", "programme"])
    op.create_table(
        "reward_cursor",
        sa.Column("programme", sa.Text, primary_key=True),
        # receipts sold before this instant, in the files below, were looked at
        sa.Column("as_of", sa.Text, nullable=False),
        # the last transfer that a balance assertion took in, and what it then expected
        sa.Column("asserted_id", sa.BigInteger, nullable=False),
        sa.Column("asserted", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reward_file",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("file_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("programme", "file_id"),
    )

"""Sending and hearing: attempts, indexes for leases and exports, and which event files were heard.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # How often a provider was asked and said "not now" to this one message, and when to ask again.
    op.add_column("outbox", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("retry_at", sa.Text))
    if op.get_bind().dialect.name == "sqlite":
        # A request's number fences off whoever held a lease before, so it must never come again;
        # SQLite gives the numbers of deleted rows out anew unless told not to.
        options = {"sqlite_autoincrement": True}
        with op.batch_alter_table("provider_request", recreate="always", table_kwargs=options):
            pass
    op.create_index("outbox_by_request", "outbox", ["request_id"])
    op.create_index("outbox_by_state_at", "outbox", ["state_at"])
    op.create_index("provider_event_by_receipt", "provider_event", ["received_at"])
    op.create_index("account_by_owner", "account", ["owner_id", "bucket"])
    op.create_table(
        "heard_file",
        sa.Column("content_hash", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.Text, nullable=False),
    )

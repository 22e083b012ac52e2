"""A household's messages are looked for once more at the last moment; consents are exported by when we
learnt of them.

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
    # Of what a provider tells: it may be days after it was said.
    op.add_column("consent", sa.Column("noted_at", sa.Text))
    op.execute("create index consent_by_time on consent (coalesce(noted_at, recorded_at))")
    op.create_table(
        "answer_alert",  # the answers that staff was written to about: once each
        sa.Column("send_key", sa.Text, primary_key=True),
        sa.Column("alerted_at", sa.Text, nullable=False),
    )

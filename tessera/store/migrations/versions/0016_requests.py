"""Send: messages without a request are not listed by request.

Revision ID: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Hundreds of thousands are planned at once, and each would be entered under no request.
    there = sa.text("request_id is not null")
    op.drop_index("outbox_by_request", "outbox")
    op.create_index(
        "outbox_by_request", "outbox", ["request_id"], sqlite_where=there, postgresql_where=there
    )

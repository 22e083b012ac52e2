"""A person's rights, approvals and the audit log.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    erasures()
    op.create_table(
        # Two customers who are one person; a row is never taken away, `is_in_force` is.
        "person_merge",
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("into_customer_id", sa.Text, nullable=False),
        sa.Column("is_in_force", sa.Integer, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
    )
    op.create_table(
        # A campaign's messages of a day that are too many to go out without somebody's word.
        # They may while there are no more of them than were approved.
        "approval",
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("campaign_version", sa.Text, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("recipients", sa.BigInteger, nullable=False),
        sa.Column("approved", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("approved_by", sa.Text),
        sa.Column("approved_at", sa.Text),
        sa.PrimaryKeyConstraint("campaign", "campaign_version", "business_date"),
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", Id, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),  # JSON
    )
    for statement in immutable("audit"):
        op.execute(statement)


def erasures() -> None:
    op.create_table(
        # What is left of a person: when, by whom, how much, and a hash that says who to those
        # who already know.
        "erasure",
        sa.Column("erasure_id", Id, primary_key=True, autoincrement=True),
        sa.Column("person", sa.Text, nullable=False, unique=True),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("begun_at", sa.Text, nullable=False),
        sa.Column("finished_at", sa.Text),
        sa.Column("counts", sa.Text, nullable=False),  # JSON: what, and how many
    )
    op.create_table(
        # Keyed hashes of the identifiers of erased people: their rows are not landed again.
        "erased_identifier",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "hash"),
    )


def immutable(table: str) -> list[str]:
    """Triggers that refuse UPDATE and DELETE on `table`."""
    if op.get_bind().dialect.name == "sqlite":
        return [
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} rows are immutable'); end"
            for verb in ("update", "delete")
        ]
    return [
        f"create function {table}_refuse() returns trigger language plpgsql as "
        f"$$ begin raise exception '{table} rows are immutable'; end $$",
        f"create trigger {table}_immutable before update or delete on {table} "
        f"for each statement execute function {table}_refuse()",
    ]

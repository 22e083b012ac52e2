"""Reward: lots with activation and expiry, the moves between them, holds, tiers and a night's steps.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
INDEXES = (
    "create unique index one_resolution on transfer (pending_id) where kind in ('redeem', 'void')",
    "create index transfer_by_reverses on transfer (reverses) where reverses is not null",
    "create index hold_due on transfer (expires_at) where kind = 'hold'",
    "create index lot_by_account on lot (account_id) where remaining > 0",
    "create index lot_due on lot (expires_at) where remaining > 0 and expires_at is not null",
    "create index lot_endless on lot (lot_id) where remaining > 0 and expires_at is null",
    "create index points_merge_into on points_merge (programme, into_customer_id)",
    "create index lot_pending on lot (activates_at) where activates_at is not null",
)
# What a member held before there were lots is one lot, which never expires by itself. A lot is
# numbered as the transfer that gave it: the member's last.
OPENING = """
insert into lot (lot_id, account_id, amount, remaining, earned_at)
select last.transfer_id, account.account_id, account.balance, account.balance, last.effective_at
from account
inner join (
    select credit_id, max(transfer_id) as transfer_id from transfer group by credit_id
) as newest on account.account_id = newest.credit_id
inner join transfer as last on newest.transfer_id = last.transfer_id
where account.owner_type = 'member' and account.bucket = 'available' and account.balance > 0
"""


def upgrade() -> None:
    transfers()
    lots()
    tiers()
    op.create_table(
        "reward_night",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("done_at", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("programme", "business_date", "step"),
    )
    for statement in (*INDEXES, *immutable("lot_move"), OPENING):
        op.execute(statement)


def transfers() -> None:
    # the hold that this redemption or release resolves
    op.add_column("transfer", sa.Column("pending_id", Id))
    # `reverses`: the key of the transfer whose points this one moves back; then the terms of the
    # points given (of a hold, its time-out)
    for name in ("reverses", "activates_at", "expires_at", "expires_on", "actor", "reason"):
        op.add_column("transfer", sa.Column(name, sa.Text))


def lots() -> None:
    op.create_table(
        "lot",
        # numbered as the transfer that gave it
        sa.Column(
            "lot_id", Id, sa.ForeignKey("transfer.transfer_id"), primary_key=True,
            autoincrement=False,
        ),
        sa.Column("account_id", Id, sa.ForeignKey("account.account_id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("earned_at", sa.Text, nullable=False),
        sa.Column("activates_at", sa.Text),  # null once they may be spent
        sa.Column("expires_at", sa.Text),  # the first instant they are gone; null for never
        sa.Column("expires_on", sa.Text),  # their last day, in the programme's zone
        sa.CheckConstraint("remaining between 0 and amount", name="lot_within"),
    )  # fmt: skip
    op.create_table(
        "lot_move",
        sa.Column("transfer_id", Id, sa.ForeignKey("transfer.transfer_id"), nullable=False),
        sa.Column("lot_id", Id, sa.ForeignKey("lot.lot_id"), nullable=False),
        sa.Column("delta", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", "lot_id"),
        sa.CheckConstraint("delta <> 0", name="delta_moves"),
    )
    op.create_index("lot_move_by_lot", "lot_move", ["lot_id"])
    # Whose points went to whom: earlier receipts of the one count as the other's.
    op.create_table(
        "points_merge",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("into_customer_id", sa.Text, nullable=False),
        sa.Column("merged_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("programme", "customer_id"),
    )


def tiers() -> None:
    op.create_table(
        "tier_move",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),  # a night may move twice
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("previous_tier", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("qualifying", sa.BigInteger, nullable=False),
        sa.Column("until", sa.Text),  # reviewed after this day; null: never
        sa.PrimaryKeyConstraint("programme", "customer_id", "business_date", "position"),
    )


def immutable(table: str) -> list[str]:
    """Triggers that refuse UPDATE and DELETE on `table`: a correction is a new row."""
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
